# shellcheck shell=bash
# The control plane: etcd, API server, controller manager, scheduler. It knows nothing of network namespaces: whoever
# starts it says by a prefix where it runs (no prefix: right here).

ETCD_PORT=${ETCD_PORT:-2379} # and the next one for its peers, of which there are none

etcd_flags() {
  local client=http://127.0.0.1:$ETCD_PORT peer=http://127.0.0.1:$((ETCD_PORT + 1))
  printf '%s\n' \
    --data-dir="$STATE_FOLDER/etcd" --log-level=warn --quota-backend-bytes=8589934592 \
    --listen-client-urls="$client" --advertise-client-urls="$client" \
    --listen-peer-urls="$peer" --initial-advertise-peer-urls="$peer" --initial-cluster="default=$peer" \
    --unsafe-no-fsync # nobody needs the data after a power cut, and a slow disk would slow down everything
}

# api_server_flags BIND_ADDRESS ADVERTISED_ADDRESS
api_server_flags() {
  local certificates=$CERTIFICATE_FOLDER
  printf '%s\n' \
    --etcd-servers="http://127.0.0.1:$ETCD_PORT" --cert-dir="$STATE_FOLDER/apiserver-certificates" \
    --bind-address="$1" --secure-port="$API_PORT" --advertise-address="$2" \
    --client-ca-file="$certificates/ca.crt" \
    --tls-cert-file="$certificates/apiserver.crt" --tls-private-key-file="$certificates/apiserver.key" \
    --kubelet-certificate-authority="$certificates/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$certificates/apiserver-kubelet-client.crt" \
    --kubelet-client-key="$certificates/apiserver-kubelet-client.key" \
    --requestheader-client-ca-file="$certificates/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$certificates/front-proxy-client.crt" \
    --proxy-client-key-file="$certificates/front-proxy-client.key" \
    --service-cluster-ip-range="$SERVICE_NETWORK.0.0/16" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$certificates/service-account.pub" \
    --service-account-signing-key-file="$certificates/service-account.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --audit-policy-file="$STATE_FOLDER/audit-policy.yaml" --audit-log-path="$LOG_FOLDER/audit.log" \
    --audit-log-maxsize=200 --audit-log-maxbackup=2 # MiB, and how many of them besides the current one
}

controller_manager_flags() {
  local kubeconfig=$KUBECONFIG_FOLDER/controller-manager
  printf '%s\n' \
    --kubeconfig="$kubeconfig" --authentication-kubeconfig="$kubeconfig" --authorization-kubeconfig="$kubeconfig" \
    --cert-dir="$STATE_FOLDER/controller-manager-certificates" --bind-address=127.0.0.1 --leader-elect=false \
    --service-account-private-key-file="$CERTIFICATE_FOLDER/service-account.key" \
    --root-ca-file="$CERTIFICATE_FOLDER/ca.crt" --use-service-account-credentials=true \
    --cluster-signing-cert-file="$CERTIFICATE_FOLDER/ca.crt" --cluster-signing-key-file="$CERTIFICATE_FOLDER/ca.key" \
    --service-cluster-ip-range="$SERVICE_NETWORK.0.0/16" --allocate-node-cidrs=false \
    --kube-api-qps=200 --kube-api-burst=400
}

scheduler_flags() {
  local kubeconfig=$KUBECONFIG_FOLDER/scheduler
  printf '%s\n' \
    --kubeconfig="$kubeconfig" --authentication-kubeconfig="$kubeconfig" --authorization-kubeconfig="$kubeconfig" \
    --cert-dir="$STATE_FOLDER/scheduler-certificates" --bind-address=127.0.0.1 --leader-elect=false \
    --kube-api-qps=200 --kube-api-burst=400
}

# write_audit_policy: who asked what, of everything, without contents. Tests prove by it that nobody asks in vain.
write_audit_policy() {
  cat >"$STATE_FOLDER/audit-policy.yaml" <<'POLICY'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
POLICY
}

# start_storage_and_api BIND_ADDRESS ADVERTISED_ADDRESS [PREFIX...]: etcd and the API server.
start_storage_and_api() {
  local bind_address=$1 advertised_address=$2 flags
  shift 2
  write_audit_policy
  mapfile -t flags < <(etcd_flags)
  start_process etcd "$@" "$BINARY_FOLDER/etcd" "${flags[@]}"
  mapfile -t flags < <(api_server_flags "$bind_address" "$advertised_address")
  start_process apiserver "$@" "$BINARY_FOLDER/kube-apiserver" "${flags[@]}" "${API_SERVER_FLAGS[@]}"
}

# start_controllers [PREFIX...]: controller manager and scheduler; the API server is ready.
start_controllers() {
  local flags
  mapfile -t flags < <(controller_manager_flags)
  start_process controller-manager "$@" "$BINARY_FOLDER/kube-controller-manager" "${flags[@]}" "${CONTROLLER_MANAGER_FLAGS[@]}"
  mapfile -t flags < <(scheduler_flags)
  start_process scheduler "$@" "$BINARY_FOLDER/kube-scheduler" "${flags[@]}" "${SCHEDULER_FLAGS[@]}"
}

# wait_for_api: until the API server is ready; notices at once when it or etcd has ended.
wait_for_api() {
  local started name
  started=$(milliseconds)
  until kube get --raw /readyz >/dev/null 2>&1; do
    for name in etcd apiserver; do
      is_running "$name" || { tail -n 10 "$LOG_FOLDER/$name.log" >&2; fail "$name has ended" "its log above says why: $LOG_FOLDER/$name.log"; }
    done
    if (($(milliseconds) - started > 120000)); then
      tail -n 10 "$LOG_FOLDER/apiserver.log" >&2
      fail "the API server is not ready after 120 s" "its log: $LOG_FOLDER/apiserver.log"
    fi
    sleep 0.2
  done
}

# wait_for_service_accounts: without the default one no pod can be made.
wait_for_service_accounts() {
  local attempt
  for ((attempt = 0; attempt < 300; attempt++)); do
    kube get serviceaccount default >/dev/null 2>&1 && return
    sleep 0.2
  done
  fail "the controller manager makes no service accounts" "its log: $LOG_FOLDER/controller-manager.log"
}

stop_control_plane() {
  stop_process scheduler 2
  stop_process controller-manager 2
  stop_process apiserver 1 # its graceful end would wait for every watch; etcd keeps the data
  stop_process etcd 10
}
