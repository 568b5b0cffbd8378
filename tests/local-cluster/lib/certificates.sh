# shellcheck shell=bash
# Certificates and kubeconfigs. What exists is kept; each file appears only when it is complete. Elliptic-curve keys:
# the whole set takes under a second, RSA would take ten.

make_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# make_authority NAME. Python 3.13 and later (Patroni's) refuse an authority without keyUsage.
make_authority() {
  local base=$CERTIFICATE_FOLDER/$1
  [ -f "$base.crt" ] && return
  make_key "$base.key"
  openssl req -x509 -new -key "$base.key" -out "$base.crt.part" -subj "/CN=$1" -days 3650 \
    -addext keyUsage=critical,keyCertSign,cRLSign
  mv "$base.crt.part" "$base.crt"
}

# make_certificate NAME SUBJECT ALTERNATIVE_NAMES [AUTHORITY]: one for servers and clients alike. Python 3.13 and later
# also want the authority's key identifier.
make_certificate() {
  local base=$CERTIFICATE_FOLDER/$1 subject=$2 alternative_names=$3 authority=$CERTIFICATE_FOLDER/${4:-ca}
  [ -f "$base.crt" ] && return
  make_key "$base.key"
  cat >"$base.extensions" <<EXTENSIONS
subjectAltName=$alternative_names
keyUsage=digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
EXTENSIONS
  openssl req -new -key "$base.key" -subj "$subject" -out "$base.request"
  openssl x509 -req -in "$base.request" -CA "$authority.crt" -CAkey "$authority.key" -CAcreateserial -days 3650 \
    -extfile "$base.extensions" -out "$base.crt.part" 2>/dev/null # it reports even success there
  rm "$base.request" "$base.extensions"
  mv "$base.crt.part" "$base.crt"
}

# make_kubeconfig NAME SERVER: a client's certificate as a kubeconfig.
make_kubeconfig() {
  local file=$KUBECONFIG_FOLDER/$1 base=$CERTIFICATE_FOLDER/$1
  [ -f "$file" ] && return
  cat >"$file.part" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- name: $CLUSTER_NAME
  cluster:
    server: $2
    certificate-authority-data: $(base64 -w0 "$CERTIFICATE_FOLDER/ca.crt")
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$base.crt")
    client-key-data: $(base64 -w0 "$base.key")
contexts:
- name: $CLUSTER_NAME
  context: {cluster: $CLUSTER_NAME, user: $1}
current-context: $CLUSTER_NAME
KUBECONFIG
  mv "$file.part" "$file"
}

# make_client NAME SUBJECT: a certificate and a kubeconfig for a client on this machine.
make_client() {
  make_certificate "$1" "$2" "DNS:$1"
  make_kubeconfig "$1" "https://127.0.0.1:$API_PORT"
}

# make_cluster_certificates ADDRESS: everything that the control plane needs; ADDRESS is where pods and nodes find the
# API server.
make_cluster_certificates() {
  local name=kubernetes names=DNS:localhost part
  for part in '' .default .svc .cluster.local; do
    name+=$part
    names+=,DNS:$name
  done
  (
    umask 077
    mkdir -p "$CERTIFICATE_FOLDER" "$KUBECONFIG_FOLDER"
    make_authority ca
    make_authority front-proxy-ca
    make_certificate apiserver /CN=kube-apiserver "$names,IP:127.0.0.1,IP:$1,IP:$SERVICE_NETWORK.0.1"
    make_certificate apiserver-kubelet-client /O=system:masters/CN=apiserver-kubelet-client DNS:apiserver
    make_certificate front-proxy-client /CN=front-proxy-client DNS:apiserver front-proxy-ca
    make_client admin /O=system:masters/CN=admin
    make_client controller-manager /CN=system:kube-controller-manager
    make_client scheduler /CN=system:kube-scheduler
    make_client provisioner /O=system:masters/CN=local-provisioner
    make_client dns /O=system:masters/CN=dns
    make_certificate kube-proxy /CN=system:kube-proxy DNS:kube-proxy
    make_kubeconfig kube-proxy "https://$1:$API_PORT"
    if [ ! -f "$CERTIFICATE_FOLDER/service-account.pub" ]; then
      make_key "$CERTIFICATE_FOLDER/service-account.key"
      openssl ec -in "$CERTIFICATE_FOLDER/service-account.key" -pubout -out "$CERTIFICATE_FOLDER/service-account.part" 2>/dev/null
      mv "$CERTIFICATE_FOLDER/service-account.part" "$CERTIFICATE_FOLDER/service-account.pub"
    fi
  )
}

# make_node_certificate NAME ADDRESS: for the kubelet, as a server and as a client.
make_node_certificate() {
  (
    umask 077
    make_certificate "node-$1" "/O=system:nodes/CN=system:node:$1" "DNS:$1,IP:$2,IP:127.0.0.1"
    make_kubeconfig "node-$1" "https://$HUB_ADDRESS:$API_PORT"
  )
}
