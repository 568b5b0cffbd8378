// The admission webhook of CloudNativePG by itself, to be measured beside ours: `peer DIRECTORY ADDRESS`.
//
// It uses a package that is internal to CloudNativePG, so it is built inside a copy of its source:
//
//	git clone --depth 1 https://github.com/cloudnative-pg/cloudnative-pg
//	cp -r webhook/benches/peer cloudnative-pg/cmd/peer
//	cd cloudnative-pg && go build -o peer ./cmd/peer
//
// The directory holds tls.crt and tls.key. There is no Kubernetes to talk to, as for our own webhook.
package main

import (
	"log"
	"net"
	"os"
	"strconv"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	apiv1 "github.com/cloudnative-pg/cloudnative-pg/api/v1"
	webhookv1 "github.com/cloudnative-pg/cloudnative-pg/internal/webhook/v1"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: peer DIRECTORY ADDRESS")
	}
	// Ours logs nothing of a review either.
	ctrl.SetLogger(logr.Discard())
	host, port := address(os.Args[2])
	scheme := runtime.NewScheme()
	must(apiv1.AddToScheme(scheme))
	manager, err := ctrl.NewManager(&rest.Config{Host: "http://127.0.0.1:1"}, ctrl.Options{
		Scheme:        scheme,
		Metrics:       server.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: host, Port: port, CertDir: os.Args[1]}),
	})
	must(err)
	must(webhookv1.SetupClusterWebhookWithManager(manager))
	must(manager.Start(ctrl.SetupSignalHandler()))
}

func address(text string) (string, int) {
	host, port, err := net.SplitHostPort(text)
	must(err)
	number, err := strconv.Atoi(port)
	must(err)
	return host, number
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
