//! EC2's answers, in XML, as far as they are read.
//!
//! Surprising: one answer may tell several changes of a disk. The last one to begin counts.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::plan::{ChangeState, Disk, LastChange};

use super::DisksError;

#[derive(Deserialize)]
struct Items<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volumes {
    volume_set: Items<Volume>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    volume_id: String,
    #[serde(default)]
    volume_type: String,
    size: i32,
    iops: Option<i32>,
    throughput: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Modifications {
    volume_modification_set: Items<Modification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Modification {
    volume_id: String,
    modification_state: String,
    start_time: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    errors: Errors,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Errors {
    error: Reason,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reason {
    code: String,
    message: String,
}

fn read<T: DeserializeOwned>(action: &'static str, body: &[u8]) -> Result<T, DisksError> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string());
    let read = text.and_then(|text| quick_xml::de::from_str(text).map_err(|error| error.to_string()));
    read.map_err(|reason| DisksError::Answer { action, reason })
}

/// The disks of an answer to `DescribeVolumes`, as yet without their changes.
pub(super) fn disks(body: &[u8]) -> Result<Vec<Disk>, DisksError> {
    let volumes: Volumes = read("DescribeVolumes", body)?;
    let disk = |volume: Volume| Disk {
        id: volume.volume_id,
        kind: volume.volume_type,
        gib: volume.size,
        iops: volume.iops,
        throughput: volume.throughput,
        last_change: None,
    };
    Ok(volumes.volume_set.item.into_iter().map(disk).collect())
}

/// Adds the changes of an answer to `DescribeVolumesModifications`. A state that nobody knows yet counts as one under way.
pub(super) fn add_changes(disks: &mut [Disk], body: &[u8]) -> Result<(), DisksError> {
    let told: Modifications = read("DescribeVolumesModifications", body)?;
    for change in told.volume_modification_set.item {
        let Some(disk) = disks.iter_mut().find(|disk| disk.id == change.volume_id) else { continue };
        let state = match change.modification_state.as_str() {
            "optimizing" => ChangeState::Optimizing,
            "completed" => ChangeState::Completed,
            "failed" => ChangeState::Failed,
            _ => ChangeState::Modifying,
        };
        let began: Option<Timestamp> = change.start_time.and_then(|time| time.parse().ok());
        let later = disk.last_change.as_ref().is_none_or(|known| known.began <= began);
        if later {
            disk.last_change = Some(LastChange { state, began });
        }
    }
    Ok(())
}

/// Why EC2 refused; `None` where the answer does not say it in EC2's way.
pub(super) fn refusal(action: &'static str, body: &[u8]) -> Option<DisksError> {
    let Reason { code, message } = read::<Refusal>(action, body).ok()?.errors.error;
    Some(DisksError::Refused { action, code, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUMES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <DescribeVolumesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
          <requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId>
          <volumeSet>
            <item><volumeId>vol-1</volumeId><size>80</size><volumeType>gp3</volumeType><iops>3000</iops>
              <throughput>125</throughput><attachmentSet><item><volumeId>vol-1</volumeId></item></attachmentSet></item>
            <item><volumeId>vol-2</volumeId><size>10</size><volumeType>standard</volumeType><tagSet/></item>
          </volumeSet>
        </DescribeVolumesResponse>"#;

    #[test]
    fn a_disk_has_the_figures_that_its_type_has() {
        let disks = disks(VOLUMES.as_bytes()).unwrap();
        let figures: Vec<_> = disks.iter().map(|disk| (disk.gib, disk.iops, disk.throughput)).collect();
        assert_eq!(figures, [(80, Some(3_000), Some(125)), (10, None, None)]);
    }

    #[test]
    fn the_last_change_counts_and_an_unknown_state_is_one_under_way() {
        let mut disks = disks(VOLUMES.as_bytes()).unwrap();
        let change = |id: &str, state: &str, at: &str| {
            format!(
                "<item><volumeId>{id}</volumeId><modificationState>{state}</modificationState>\
                 <startTime>{at}</startTime></item>"
            )
        };
        let items = [
            change("vol-1", "optimizing", "2026-01-02T00:00:00.000Z"),
            change("vol-1", "completed", "2026-01-01T00:00:00.000Z"),
            change("vol-2", "thinking", "2026-01-01T00:00:00.000Z"),
            change("vol-3", "completed", "2026-01-01T00:00:00.000Z"),
        ];
        let body = format!(
            "<DescribeVolumesModificationsResponse><volumeModificationSet>{}</volumeModificationSet>\
             </DescribeVolumesModificationsResponse>",
            items.concat()
        );
        add_changes(&mut disks, body.as_bytes()).unwrap();
        let states: Vec<_> = disks.iter().map(|disk| disk.last_change.as_ref().unwrap().state).collect();
        assert_eq!(states, [ChangeState::Optimizing, ChangeState::Modifying]);
        let none = "<DescribeVolumesModificationsResponse><volumeModificationSet/></DescribeVolumesModificationsResponse>";
        add_changes(&mut disks, none.as_bytes()).unwrap();
    }

    #[test]
    fn a_refusal_is_told_in_ec2s_words_and_one_that_comes_too_early_is_known() {
        let body = "<Response><Errors><Error><Code>VolumeModificationRateExceeded</Code><Message>Wait at least 6 hours.\
                    </Message></Error></Errors><RequestID>1</RequestID></Response>";
        let error = refusal("ModifyVolume", body.as_bytes()).unwrap();
        let told = "EC2 refused ModifyVolume: VolumeModificationRateExceeded: Wait at least 6 hours.";
        assert_eq!(error.to_string(), told);
        assert!(error.is_too_early());
        assert!(refusal("ModifyVolume", b"<html>no</html>").is_none());
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let error = disks(b"<DescribeVolumesResponse/>").unwrap_err();
        assert!(error.to_string().starts_with("could not read EC2's answer to DescribeVolumes"), "{error}");
    }
}
