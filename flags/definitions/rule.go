package definitions

import (
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// maxNodes bounds a rule after its references were put in.
	maxNodes = 20_000
	// maxSteps bounds the steps of one evaluation of a rule. When it is read, lists
	// of the context are taken as dynamicList long.
	maxSteps    = 1_000_000
	dynamicList = 100
)

// iterators are the operators that run a rule for each element of a list.
var iterators = map[string]bool{"map": true, "filter": true, "reduce": true, "all": true, "none": true, "some": true}

// operators are those that flagd documents. The library that evaluates knows
// more of them, but other implementations of flagd would refuse those.
var operators = map[string]bool{
	"var": true, "missing": true, "missing_some": true,
	"if": true, "?:": true, "==": true, "===": true, "!=": true, "!==": true, "!": true, "!!": true, "or": true, "and": true,
	">": true, ">=": true, "<": true, "<=": true, "max": true, "min": true,
	"+": true, "-": true, "*": true, "/": true, "%": true,
	"map": true, "reduce": true, "filter": true, "all": true, "none": true, "some": true, "merge": true, "in": true,
	"cat": true, "substr": true,
	"fractional": true, "sem_ver": true, "starts_with": true, "ends_with": true,
}

// references are a set's named evaluators, decoded.
type references struct {
	rules map[string]any
	bad   map[string]error
}

func newReferences(raw map[string]json.RawMessage) *references {
	r := &references{rules: make(map[string]any, len(raw)), bad: map[string]error{}}
	for name, b := range raw {
		var rule any
		if err := json.Unmarshal(b, &rule); err != nil {
			r.bad[name] = err
			continue
		}
		r.rules[name] = rule
	}
	return r
}

// rule decodes a rule, puts the referenced evaluators in and holds the result
// against the bounds.
func (r *references) rule(raw json.RawMessage) (any, error) {
	var rule any
	if err := json.Unmarshal(raw, &rule); err != nil {
		return nil, err
	}
	if _, ok := rule.(map[string]any); !ok {
		return nil, errors.New("the rule is no object")
	}
	x := expansion{refs: r, within: map[string]bool{}}
	rule, err := x.expand(rule, 0)
	if err != nil {
		return nil, err
	}
	if n := steps(rule, dynamicList); n > maxSteps {
		return nil, fmt.Errorf("the rule takes more than the %d steps allowed: nest fewer or shorter lists", maxSteps)
	}
	return rule, nil
}

// expansion is the state of putting references into one rule.
type expansion struct {
	refs   *references
	within map[string]bool // the references being put in, to find cycles
	nodes  int
}

func (x *expansion) expand(node any, depth int) (any, error) {
	x.nodes++
	if x.nodes > maxNodes {
		return nil, fmt.Errorf("the rule has more than the %d parts allowed", maxNodes)
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("the rule is nested deeper than the %d levels allowed", MaxDepth)
	}
	switch node := node.(type) {
	case []any:
		list := make([]any, len(node))
		for i, v := range node {
			e, err := x.expand(v, depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = e
		}
		return list, nil
	case map[string]any:
		return x.operation(node, depth)
	}
	return node, nil
}

func (x *expansion) operation(node map[string]any, depth int) (any, error) {
	if len(node) > 1 {
		return nil, fmt.Errorf("an object with %d keys is no rule: a rule has one operator", len(node))
	}
	for name, args := range node {
		if name == "$ref" {
			return x.reference(args, depth)
		}
		if !operators[name] {
			return nil, fmt.Errorf("operator %q is unknown", cut(name, 100))
		}
		e, err := x.expand(args, depth+1)
		if err != nil {
			return nil, err
		}
		return map[string]any{name: e}, nil
	}
	return node, nil
}

func (x *expansion) reference(args any, depth int) (any, error) {
	name, ok := args.(string)
	if !ok {
		return nil, errors.New("$ref doesn't name an evaluator")
	}
	if err := x.refs.bad[name]; err != nil {
		return nil, fmt.Errorf("evaluator %q: %w", cut(name, 100), err)
	}
	rule, ok := x.refs.rules[name]
	if !ok {
		return nil, fmt.Errorf("$ref names evaluator %q, which isn't among $evaluators", cut(name, 100))
	}
	if x.within[name] {
		return nil, fmt.Errorf("evaluator %q refers to itself", cut(name, 100))
	}
	x.within[name] = true
	defer delete(x.within, name)
	return x.expand(rule, depth+1)
}

// steps estimates how many operations one evaluation of the rule takes at most, where
// the context's lists are at most as long as given; what is beyond maxSteps isn't
// counted out.
func steps(node any, longest int) int {
	switch node := node.(type) {
	case []any:
		n := 1
		for _, v := range node {
			n = min(n+steps(v, longest), maxSteps+1)
		}
		return n
	case map[string]any:
		for name, args := range node {
			n := steps(args, longest)
			if list, ok := args.([]any); ok && iterators[name] && len(list) > 1 {
				n = min(n+length(list[0], longest)*steps(list[1], longest), maxSteps+1)
			}
			return min(n+1, maxSteps+1)
		}
	}
	return 1
}

// length estimates how long a list is at most that a part of a rule gives: its own
// elements, and those of each property that it takes from the context.
func length(list any, longest int) int {
	if literal, ok := list.([]any); ok {
		return len(literal)
	}
	nodes, properties := 0, 0
	visit(list, func(operator string) {
		nodes++
		if operator == "var" {
			properties++
		}
	})
	return max(properties, 1)*longest + max(nodes-2, 0)
}

// iterates says whether a rule goes through lists.
func iterates(rule any) bool {
	found := false
	visit(rule, func(operator string) { found = found || iterators[operator] })
	return found
}

// visit calls f for each node of a rule, with the operator that it is, if any.
func visit(node any, f func(operator string)) {
	switch node := node.(type) {
	case []any:
		f("")
		for _, v := range node {
			visit(v, f)
		}
	case map[string]any:
		for name, args := range node {
			f(name)
			visit(args, f)
		}
	default:
		f("")
	}
}

// longest is the length of the longest list of a context, at any depth.
func longest(value any) int {
	n := 0
	switch value := value.(type) {
	case []any:
		n = len(value)
		for _, v := range value {
			n = max(n, longest(v))
		}
	case map[string]any:
		for _, v := range value {
			n = max(n, longest(v))
		}
	}
	return n
}
