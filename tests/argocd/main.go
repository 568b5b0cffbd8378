// What Argo CD would say: its own library applies a manifest to a cluster and compares what is there afterwards.
//
// Asked by the stories on a real API server (tests/tests/control_plane/argo.rs), a question and an answer a line, in
// JSON. A manifest is synchronised twice, in both of Argo CD's ways to apply, compared in all of its ways to compare,
// and deleted. The surprise: without a last-applied annotation, which only a client-side apply leaves behind, the
// three-way comparison takes the manifest itself for what was applied last.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// manager is Argo CD's name among the writers of an object.
const manager = "argocd-controller"

// answer is what is said of one manifest.
type answer struct {
	// Differences are the comparisons that find the object out of sync, and the writes of a second synchronisation.
	Differences []string `json:"differences"`
	// Comparisons counts what was compared.
	Comparisons int `json:"comparisons"`
	// Error is why there is no answer.
	Error string `json:"error,omitempty"`
}

// cluster is what Argo CD keeps of a destination.
type cluster struct {
	config     *rest.Config
	kubectl    *kube.KubectlCmd
	operations kube.ResourceOperations
	options    []diff.Option
}

// comparison is one of Argo CD's ways to find out whether an object is in sync.
type comparison struct {
	name    string
	options []diff.Option
}

var comparisons = []comparison{
	{"the three-way comparison", nil},
	{"the server-side comparison", []diff.Option{diff.WithServerSideDiff(true)}},
	{"the server-side comparison with mutations", []diff.Option{
		diff.WithServerSideDiff(true), diff.WithIgnoreMutationWebhook(false),
	}},
	{"the structured comparison", []diff.Option{diff.WithStructuredMergeDiff(true)}},
}

func main() {
	klog.SetOutput(io.Discard)
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	cluster, cleanup, err := connect()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer cleanup()
	questions, answers := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		line, err := questions.ReadBytes('\n')
		if err != nil {
			return
		}
		manifest := &unstructured.Unstructured{}
		answer := answer{Differences: []string{}}
		if err := manifest.UnmarshalJSON(line); err != nil {
			answer.Error = err.Error()
		} else if err := cluster.judge(manifest, &answer); err != nil {
			answer.Error = err.Error()
		}
		if err := answers.Encode(answer); err != nil {
			return
		}
	}
}

// connect goes to the cluster of the environment's KUBECONFIG.
func connect() (*cluster, func(), error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, nil, err
	}
	log, tracer := logr.Discard(), tracing.NopTracer{}
	kubectl := &kube.KubectlCmd{Log: log, Tracer: tracer}
	schema, parser, err := kubectl.LoadOpenAPISchema(config)
	if err != nil {
		return nil, nil, err
	}
	operations, cleanOperations, err := kubectl.ManageResources(config, schema)
	if err != nil {
		return nil, nil, err
	}
	applier, cleanApplier, err := kube.ManageServerSideDiffDryRuns(config, schema, tracer, log, nil)
	if err != nil {
		cleanOperations()
		return nil, nil, err
	}
	options := []diff.Option{
		diff.WithLogr(log), diff.WithManager(manager), diff.WithGVKParser(parser),
		diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(applier)),
	}
	cleanup := func() { cleanOperations(); cleanApplier() }
	return &cluster{config, kubectl, operations, options}, cleanup, nil
}

// judge goes through both ways to apply.
func (c *cluster) judge(manifest *unstructured.Unstructured, answer *answer) error {
	// what Argo CD knows its objects by
	tracked := manifest.GetAnnotations()
	if tracked == nil {
		tracked = map[string]string{}
	}
	tracked["argocd.argoproj.io/tracking-id"] = fmt.Sprintf("databases:acid.zalan.do/postgresql:%s/%s",
		manifest.GetNamespace(), manifest.GetName())
	manifest.SetAnnotations(tracked)
	for _, serverSide := range []bool{false, true} {
		if err := c.synchronise(manifest, serverSide, answer); err != nil {
			return fmt.Errorf("%s: %w", how(serverSide), err)
		}
	}
	return nil
}

func how(serverSide bool) string {
	if serverSide {
		return "after a server-side apply"
	}
	return "after a client-side apply"
}

// synchronise applies, compares, applies once more and deletes.
func (c *cluster) synchronise(manifest *unstructured.Unstructured, serverSide bool, answer *answer) error {
	ctx, kind := context.Background(), manifest.GroupVersionKind()
	name, namespace := manifest.GetName(), manifest.GetNamespace()
	apply := func() (*unstructured.Unstructured, error) {
		_, err := c.operations.ApplyResource(ctx, manifest.DeepCopy(), cmdutil.DryRunNone, false, true, serverSide, manager)
		if err != nil {
			return nil, err
		}
		return c.kubectl.GetResource(ctx, c.config, kind, name, namespace)
	}
	live, err := apply()
	if err != nil {
		return err
	}
	for _, comparison := range comparisons {
		options := append(append([]diff.Option{}, c.options...), comparison.options...)
		result, err := diff.Diff(manifest.DeepCopy(), live.DeepCopy(), options...)
		if err != nil {
			return fmt.Errorf("%s: %w", comparison.name, err)
		}
		answer.Comparisons++
		if result.Modified {
			answer.Differences = append(answer.Differences, fmt.Sprintf("%s, %s sees %s for %s",
				how(serverSide), comparison.name, result.NormalizedLive, result.PredictedLive))
		}
	}
	again, err := apply()
	if err != nil {
		return err
	}
	answer.Comparisons++
	if again.GetResourceVersion() != live.GetResourceVersion() {
		answer.Differences = append(answer.Differences, how(serverSide)+", a second one writes again")
	}
	background := metav1.DeletePropagationBackground
	return c.kubectl.DeleteResource(ctx, c.config, kind, name, namespace, metav1.DeleteOptions{PropagationPolicy: &background})
}
