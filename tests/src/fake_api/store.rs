//! The objects, their versions and what happened to them: the state behind [`super::FakeApi`].
//!
//! Plain data, so a test can keep a copy of it and go back. A newcomer would not guess that a write which changes
//! nothing leaves the resource version as it was: Kubernetes does the same, and the operator leans on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fields::{Manager, from_managed_fields, to_managed_fields, update};

/// Which object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The API group, empty for the core.
    pub group: String,
    /// The plural of the kind.
    pub resource: String,
    /// The namespace, empty for what has none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// An object of a namespace.
    pub fn new(group: &str, resource: &str, namespace: &str, name: &str) -> Self {
        let [group, resource, namespace, name] = [group, resource, namespace, name].map(str::to_owned);
        Self { group, resource, namespace, name }
    }
}

/// A refused request, as the API server would tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The machine-readable reason.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

impl Refusal {
    /// A refusal with these words.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into() }
    }

    fn not_found(key: &Key) -> Self {
        Self::new(404, "NotFound", format!("{} \"{}\" not found", key.resource, key.name))
    }

    fn conflict(key: &Key, why: &str) -> Self {
        let text = format!("Operation cannot be fulfilled on {} \"{}\": {why}", key.resource, key.name);
        Self::new(409, "Conflict", text)
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code})
    }
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub struct Event {
    /// The version of the store after it.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// To which object.
    pub key: Key,
    /// The object before, if it was there.
    pub before: Option<Arc<Value>>,
    /// The object after, if it is still there.
    pub after: Option<Arc<Value>>,
}

/// The options of a deletion.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// Only the object with this UID.
    pub uid: Option<String>,
    /// Only this version of it.
    pub version: Option<String>,
    /// What the object owns stays and loses its owner.
    pub orphans: bool,
}

/// The objects.
#[derive(Clone, Debug, Default)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    uids: u64,
    now: Timestamp,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// Watches from before this version are too old.
    pub forgotten: u64,
    /// Of these plurals, the fields that the definition of the status declares: all others are dropped in silence.
    pub declared: BTreeMap<String, Vec<String>>,
}

impl Store {
    /// Sets the time that the next writes bear.
    pub fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Forgets what happened so far.
    pub fn forget(&mut self) {
        self.events.clear();
        self.forgotten = self.version;
    }

    /// An object, if it is there.
    pub fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// An object.
    ///
    /// # Errors
    /// It is not there.
    pub fn expect(&self, key: &Key) -> Result<&Arc<Value>, Refusal> {
        self.get(key).ok_or_else(|| Refusal::not_found(key))
    }

    /// All objects of a kind, in one namespace or in all.
    pub fn all<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(group, resource, namespace, "");
        self.objects
            .range(first..)
            .take_while(move |(key, _)| key.group == group && key.resource == resource)
            .filter(move |(key, _)| namespace.is_empty() || key.namespace == namespace)
    }

    /// Every object.
    pub fn everything(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// Makes an object.
    ///
    /// # Errors
    /// There is one of that name.
    pub fn create(
        &mut self,
        key: Key,
        mut object: Value,
        by: Option<&Manager>,
    ) -> Result<Arc<Value>, Refusal> {
        if self.objects.contains_key(&key) {
            let text = format!("{} \"{}\" already exists", key.resource, key.name);
            return Err(Refusal::new(409, "AlreadyExists", text));
        }
        self.uids += 1;
        let meta = metadata(&mut object);
        meta.insert("name".to_owned(), json!(key.name));
        if !key.namespace.is_empty() {
            meta.insert("namespace".to_owned(), json!(key.namespace));
        }
        meta.insert("uid".to_owned(), json!(format!("00000000-0000-0000-0000-{:012}", self.uids)));
        meta.insert("creationTimestamp".to_owned(), json!(seconds(self.now)));
        if object.get("spec").is_some() {
            metadata(&mut object).insert("generation".to_owned(), json!(1));
        }
        if let Some(manager) = by {
            own(None, &mut object, manager);
        }
        Ok(self.keep(key, object))
    }

    /// Replaces an object: `change` gets the object as it is. Its status changes only through the subresource.
    ///
    /// # Errors
    /// It is not there; `change` refuses; it bears another version than the one that is there.
    pub fn change(
        &mut self,
        key: &Key,
        by: Option<&Manager>,
        change: impl FnOnce(&Value) -> Result<Value, Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let old = Arc::clone(self.expect(key)?);
        let mut new = change(&old)?;
        let identity = ["uid", "creationTimestamp", "deletionTimestamp", "generation", "name", "namespace"];
        let version = new.pointer("/metadata/resourceVersion").filter(|version| !version.is_null());
        if version.is_some_and(|version| old.pointer("/metadata/resourceVersion") != Some(version)) {
            return Err(Refusal::conflict(key, "the object has been modified"));
        }
        let listed = new.pointer("/metadata/managedFields") == old.pointer("/metadata/managedFields");
        for name in identity {
            let value = old.pointer(&format!("/metadata/{name}")).cloned();
            set(metadata(&mut new), name, value);
        }
        let through_status = by.is_some_and(|by| by.subresource == "status");
        if let (Some(declared), Some(Value::Object(status))) =
            (self.declared.get(&key.resource), new.get_mut("status"))
        {
            status.retain(|field, _| declared.contains(field));
        }
        if by.is_some() && !through_status {
            set_root(&mut new, "status", old.get("status").cloned());
        }
        let spec = |object: &Value| object.get("spec").cloned();
        if spec(&old) != spec(&new) && old.pointer("/metadata/generation").is_some() {
            let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
            metadata(&mut new).insert("generation".to_owned(), json!(generation + 1));
        }
        if let (Some(manager), true) = (by.filter(|by| !by.applies), listed) {
            own(Some(&old), &mut new, manager);
        }
        let bare = |object: &Value| {
            let mut object = object.clone();
            set(metadata(&mut object), "resourceVersion", None);
            object
        };
        if bare(&old) == bare(&new) {
            return Ok(old);
        }
        let finalizers = new.pointer("/metadata/finalizers").and_then(Value::as_array);
        let released = finalizers.is_none_or(Vec::is_empty);
        let dying = new.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        if dying && released && !is_graceful(key) {
            return Ok(self.drop_object(key, new));
        }
        Ok(self.keep(key.clone(), new))
    }

    /// Changes an object as a controller of Kubernetes would: everything, status included, and only if it is there.
    pub fn edit(&mut self, key: &Key, edit: impl FnOnce(&mut Value)) {
        // An object that went in the meantime needs no edit.
        let _ = self.change(key, None, |old| {
            let mut new = old.clone();
            edit(&mut new);
            set(metadata(&mut new), "resourceVersion", None);
            Ok(new)
        });
    }

    /// Deletes an object, or marks it as on its way out.
    ///
    /// # Errors
    /// It is not there, or is another one than the preconditions say.
    pub fn delete(&mut self, key: &Key, options: &Deletion) -> Result<Arc<Value>, Refusal> {
        let old = Arc::clone(self.expect(key)?);
        let text = |pointer: &str| old.pointer(pointer).and_then(Value::as_str);
        if options.uid.as_deref().is_some_and(|uid| Some(uid) != text("/metadata/uid")) {
            return Err(Refusal::conflict(key, "the UID in the precondition does not match"));
        }
        if options.version.as_deref().is_some_and(|wanted| Some(wanted) != text("/metadata/resourceVersion"))
        {
            return Err(Refusal::conflict(key, "the resourceVersion in the precondition does not match"));
        }
        if options.orphans {
            self.orphan(text("/metadata/uid").unwrap_or_default());
        }
        let finalizers = old.pointer("/metadata/finalizers").and_then(Value::as_array);
        if finalizers.is_some_and(|list| !list.is_empty()) || is_graceful(key) {
            if text("/metadata/deletionTimestamp").is_some() {
                return Ok(old);
            }
            let mut dying = (*old).clone();
            metadata(&mut dying).insert("deletionTimestamp".to_owned(), json!(seconds(self.now)));
            return Ok(self.keep(key.clone(), dying));
        }
        let gone = (*old).clone();
        Ok(self.drop_object(key, gone))
    }

    /// Takes an object away at once, as the kubelet does with a pod that has ended.
    pub fn end(&mut self, key: &Key) {
        if let Some(old) = self.objects.get(key).map(|old| (**old).clone()) {
            self.drop_object(key, old);
        }
    }

    /// Takes the owner of this UID off everything.
    fn orphan(&mut self, owner: &str) {
        let owned: Vec<Key> = self.owned_by(owner);
        for key in owned {
            self.edit(&key, |object| {
                let list = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
                list.into_iter().for_each(|list| list.retain(|one| one.get("uid") != Some(&json!(owner))));
            });
        }
    }

    /// What the object of this UID owns.
    pub fn owned_by(&self, owner: &str) -> Vec<Key> {
        let owns = |object: &Value| {
            let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            list.into_iter().flatten().any(|one| one.get("uid") == Some(&json!(owner)))
        };
        self.objects.iter().filter(|(_, object)| owns(object)).map(|(key, _)| key.clone()).collect()
    }

    fn keep(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.version += 1;
        metadata(&mut object).insert("resourceVersion".to_owned(), json!(self.version.to_string()));
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        self.told(key, before, Some(Arc::clone(&object)));
        object
    }

    fn drop_object(&mut self, key: &Key, mut last: Value) -> Arc<Value> {
        self.version += 1;
        metadata(&mut last).insert("resourceVersion".to_owned(), json!(self.version.to_string()));
        self.objects.remove(key);
        let last = Arc::new(last);
        self.told(key.clone(), Some(Arc::clone(&last)), None);
        last
    }

    fn told(&mut self, key: Key, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        self.events.push(Event { version: self.version, at: self.now, key, before, after });
    }
}

/// Whether objects of this kind end by themselves after they were asked to.
fn is_graceful(key: &Key) -> bool {
    key.group.is_empty() && key.resource == "pods"
}

/// A time as objects bear it: whole seconds.
pub fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// An object's metadata, made where it is missing.
pub fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object.get("metadata").is_some_and(Value::is_object) {
        set_root(object, "metadata", Some(json!({})));
    }
    match object.get_mut("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => unreachable!("an object of Kubernetes is a JSON object"),
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

fn set_root(object: &mut Value, name: &str, value: Option<Value>) {
    if let Some(fields) = object.as_object_mut() {
        set(fields, name, value);
    }
}

/// Takes note in `managedFields` of a write that was no apply.
fn own(before: Option<&Value>, after: &mut Value, manager: &Manager) {
    let mut owners = from_managed_fields(after.pointer("/metadata/managedFields").unwrap_or(&Value::Null));
    update(before, after, &mut owners, manager);
    let version = after.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let entries = to_managed_fields(&owners, &version);
    metadata(after).insert("managedFields".to_owned(), entries);
}
