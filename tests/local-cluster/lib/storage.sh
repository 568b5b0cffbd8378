# shellcheck shell=bash
# Storage: two StorageClasses of one small provisioner of ours. `standard`, the default, behaves like a network disk (a
# pod may come back on another node); `pinned` like a local one.

start_storage() {
  mkdir -p "$STATE_FOLDER/volumes"
  kube apply -f - >/dev/null <<'CLASSES'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: local-cluster/folder
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
reclaimPolicy: Delete
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: pinned}
provisioner: local-cluster/folder
parameters: {pinned: "true"}
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
reclaimPolicy: Delete
CLASSES
  start_process provisioner python3 "$LIBRARY_FOLDER/provisioner.py" "$KUBECONFIG_FOLDER/provisioner" "$STATE_FOLDER/volumes"
}
