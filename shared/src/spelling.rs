//! What somebody meant who wrote a name that does not exist.
//!
//! Asked for the operator's keys and for PostgreSQL's settings. One slip in three letters is a slip; more is another
//! word, and a wrong guess is worse than none.

/// The candidate closest to `name`, if any is close; case does not count.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase();
    let near = candidates
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_ascii_lowercase()), candidate))
        .min()?;
    (near.0 <= name.len() / 3).then_some(near.1)
}

/// How many letters must be inserted, deleted or replaced to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (index, left) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut next = vec![before];
        for (right, &above) in b.chars().zip(row.iter().skip(1)) {
            before = (diagonal + usize::from(left != right)).min(above + 1).min(before + 1);
            diagonal = above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        let names = ["max_connections", "work_mem", "DateStyle"];
        assert_eq!(closest("max_conections", names), Some("max_connections"));
        assert_eq!(closest("datestile", names), Some("DateStyle"));
        assert_eq!(closest("colour", names), None);
    }
}
