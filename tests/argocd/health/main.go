// What tools would make of a status: Argo CD by the health check that it ships for this kind, Flux by kstatus, and Flux by
// the expressions that the documentation recommends.
//
// Asked by tests/tests/control_plane/health.rs, an object and an answer a line, in JSON; the argument is the expressions,
// in JSON. The script is the one of Argo CD's own module, run as Argo CD runs it: the object is the global obj, and the
// script returns status and message. Expressions are evaluated by Flux's own library.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	customizations "github.com/argoproj/argo-cd/v3/resource_customizations"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const script = "acid.zalan.do/postgresql/health.lua"

// answer is what both say of one object.
type answer struct {
	// Argo is Healthy, Progressing or Degraded.
	Argo string `json:"argo"`
	// Kstatus is Current, InProgress, Failed, Terminating or Unknown.
	Kstatus string `json:"kstatus"`
	// Flux is what the expressions say, in the words of kstatus.
	Flux string `json:"flux"`
	// Error is why there is no answer.
	Error string `json:"error,omitempty"`
}

func main() {
	code, err := customizations.Embedded.ReadFile(script)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	expressions, err := evaluator()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	questions, answers := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		line, err := questions.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return
		}
		object := &unstructured.Unstructured{}
		var said answer
		if err == nil {
			err = object.UnmarshalJSON(line)
		}
		if err == nil {
			said, err = judge(string(code), expressions, object)
		}
		if err != nil {
			said.Error = err.Error()
		}
		if err := answers.Encode(said); err != nil {
			return
		}
	}
}

// evaluator reads the expressions of the command line.
func evaluator() (*cel.StatusEvaluator, error) {
	if len(os.Args) != 2 {
		return nil, errors.New("usage: health EXPRESSIONS")
	}
	expressions := &kustomize.HealthCheckExpressions{}
	if err := json.Unmarshal([]byte(os.Args[1]), expressions); err != nil {
		return nil, err
	}
	return cel.NewStatusEvaluator(expressions)
}

func judge(code string, expressions *cel.StatusEvaluator, object *unstructured.Unstructured) (answer, error) {
	health, err := argo(code, object.Object)
	if err != nil {
		return answer{}, err
	}
	result, err := status.Compute(object)
	if err != nil {
		return answer{}, err
	}
	expressed, err := expressions.Evaluate(context.Background(), object)
	if err != nil {
		// What cannot be evaluated is unknown to Flux, which waits then: an expression about a status that is not there.
		expressed = &status.Result{Status: status.UnknownStatus}
	}
	return answer{Argo: health, Kstatus: result.Status.String(), Flux: expressed.Status.String()}, nil
}

// argo runs the script and returns the health that it finds.
func argo(code string, object map[string]any) (string, error) {
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(code); err != nil {
		return "", err
	}
	returned, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", errors.New("the script returns no table")
	}
	return returned.RawGetString("status").String(), nil
}

// value is a JSON value as Lua has it.
func value(state *lua.LState, from any) lua.LValue {
	switch typed := from.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, field := range typed {
			table.RawSetString(key, value(state, field))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, element := range typed {
			table.Append(value(state, element))
		}
		return table
	case string:
		return lua.LString(typed)
	case bool:
		return lua.LBool(typed)
	case int64:
		return lua.LNumber(typed)
	case float64:
		return lua.LNumber(typed)
	default:
		return lua.LNil
	}
}
