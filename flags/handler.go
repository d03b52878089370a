package flags

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"aftershock/flags/definitions"
	"aftershock/flags/feed"
)

const (
	// maxRequest bounds an evaluation request in bytes, maxContextDepth the
	// nesting of its context.
	maxRequest      = 512 << 10
	maxContextDepth = 64

	// maxAnswers is how many answers of a revision are kept, maxKept the size of
	// each at most, in bytes.
	maxAnswers = 10_000
	maxKept    = 8 << 10

	codeParseError     = definitions.CodeParseError
	codeInvalidContext = "INVALID_CONTEXT"

	unwritable = `{"errorDetails":"the answer can't be written"}`
)

// evaluation is one flag's answer in OFREP: a success, or, with an error code, a
// failure. A success without a value leaves it to the caller's default.
type evaluation struct {
	Key          string          `json:"key,omitempty"`
	Value        json.RawMessage `json:"value,omitempty"`
	Variant      string          `json:"variant,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	ErrorCode    string          `json:"errorCode,omitempty"`
	ErrorDetails string          `json:"errorDetails,omitempty"`
	Metadata     map[string]any  `json:"metadata,omitempty"`
}

// bulk is the answer for all flags.
type bulk struct {
	Flags []json.RawMessage `json:"flags"`
	// EventStreams says where the caller learns that it should ask again.
	EventStreams []eventStream  `json:"eventStreams"`
	Metadata     map[string]any `json:"metadata"`
}

type eventStream struct {
	Type     string   `json:"type"`
	Endpoint endpoint `json:"endpoint"`
}

// endpoint has no origin: the stream is where the caller asked.
type endpoint struct {
	RequestURI string `json:"requestUri"`
}

// Handler serves OFREP: POST /ofrep/v1/evaluate/flags/{key}, POST
// /ofrep/v1/evaluate/flags and the event stream, which it wants to be given with
// their whole paths. Each flag's metadata has the served revision as "version",
// a text. With keys configured, callers must present one.
func (s *Switchboard) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ofrep/v1/evaluate/flags/{key}", s.guarded(s.Admits, s.evaluateOne))
	mux.HandleFunc("POST /ofrep/v1/evaluate/flags", s.guarded(s.Admits, s.evaluateAll))
	mux.HandleFunc("GET "+feed.EventsPath, s.guarded(s.admitsToEvents, s.feed.ServeEvents))
	return mux
}

// guarded answers 401 where the request isn't admitted.
func (s *Switchboard) guarded(admits func(*http.Request) bool, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !admits(r) {
			s.metrics.evaluations.WithLabelValues("UNAUTHENTICATED").Inc()
			w.Header().Set("WWW-Authenticate", `Bearer realm="aftershock flags"`)
			answer(w, http.StatusUnauthorized, evaluation{ErrorDetails: "reading flags needs a key: present it as Authorization: Bearer KEY or X-API-Key: KEY"})
			return
		}
		h(w, r)
	}
}

func (s *Switchboard) evaluateOne(w http.ResponseWriter, request *http.Request) {
	key := request.PathValue("key")
	context, failure := readContext(w, request)
	if failure != nil {
		failure.Key = key
		s.metrics.evaluations.WithLabelValues(failure.ErrorCode).Inc()
		answer(w, http.StatusBadRequest, failure)
		return
	}
	n := s.serving.Load()
	r := s.evaluate(n.set.For(context, s.now()), key)
	status := http.StatusOK
	switch r.ErrorCode {
	case "":
	case definitions.CodeFlagNotFound:
		status = http.StatusNotFound
	default:
		status = http.StatusBadRequest
	}
	write(w, status, n.answer(key, r))
}

func (s *Switchboard) evaluate(caller *definitions.Caller, key string) definitions.Resolution {
	r := caller.Evaluate(key)
	if r.ErrorCode != "" {
		s.metrics.evaluations.WithLabelValues(r.ErrorCode).Inc()
	} else {
		s.metrics.evaluations.WithLabelValues(r.Reason).Inc()
	}
	return r
}

// evaluation is a resolution in OFREP.
func (n *snapshot) evaluation(key string, r definitions.Resolution) evaluation {
	e := evaluation{Key: key, Metadata: maps.Clone(r.Metadata), ErrorCode: r.ErrorCode, ErrorDetails: r.ErrorDetails}
	if e.Metadata == nil {
		e.Metadata = map[string]any{}
	}
	e.Metadata[versionKey] = n.version
	if r.ErrorCode == "" {
		e.Value, e.Variant, e.Reason = r.Value, r.Variant, r.Reason
	}
	return e
}

// answer is a resolution in OFREP as JSON. A success depends on the flag, the
// variant and the reason alone, within a revision, so it is written once and
// used again.
func (n *snapshot) answer(key string, r definitions.Resolution) json.RawMessage {
	of := answered{key, r.Variant, r.Reason}
	if known, ok := n.answers.Load(of); ok && r.ErrorCode == "" {
		b, _ := known.(json.RawMessage)
		return b
	}
	b, err := json.Marshal(n.evaluation(key, r))
	if err != nil {
		return json.RawMessage(unwritable)
	}
	if r.ErrorCode == "" && len(b) <= maxKept && n.kept.Add(1) <= maxAnswers {
		n.answers.Store(of, json.RawMessage(b))
	}
	return b
}

// evaluateAll answers with all flags but the disabled ones, and with 304 where
// the caller has the same answer already.
func (s *Switchboard) evaluateAll(w http.ResponseWriter, r *http.Request) {
	context, failure := readContext(w, r)
	if failure != nil {
		answer(w, http.StatusBadRequest, failure)
		return
	}
	n := s.serving.Load()
	all := bulk{
		Flags: []json.RawMessage{}, Metadata: n.set.Metadata(),
		EventStreams: []eventStream{{Type: "sse", Endpoint: endpoint{s.eventsPath(feed.EventsPath)}}},
	}
	all.Metadata[versionKey] = n.version
	caller := n.set.For(context, s.now())
	for _, key := range n.set.Keys() {
		if f, _ := n.set.Flag(key); f.State == definitions.Disabled {
			continue
		}
		all.Flags = append(all.Flags, n.answer(key, s.evaluate(caller, key)))
	}
	body, err := json.Marshal(all)
	if err != nil {
		answer(w, http.StatusInternalServerError, evaluation{ErrorDetails: "write answer: " + err.Error()})
		return
	}
	// The tag stands for what was evaluated, so that it also changes where a rule
	// depends on the time.
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	w.Header().Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// matches compares weakly, as RFC 9110 wants it for If-None-Match.
func matches(headers []string, tag string) bool {
	for _, h := range headers {
		for t := range strings.SplitSeq(h, ",") {
			if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == tag || t == "*" {
				return true
			}
		}
	}
	return false
}

// readContext reads the evaluation context of a request; no body is an empty
// context.
func readContext(w http.ResponseWriter, r *http.Request) (map[string]any, *evaluation) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &evaluation{ErrorCode: codeInvalidContext, ErrorDetails: fmt.Sprintf("the request has more than the %d bytes allowed", maxRequest)}
		}
		return nil, &evaluation{ErrorCode: codeParseError, ErrorDetails: "the request can't be read"}
	}
	if len(b) == 0 {
		return nil, nil
	}
	if definitions.Depth(b) > maxContextDepth {
		return nil, &evaluation{ErrorCode: codeInvalidContext, ErrorDetails: fmt.Sprintf("the context is nested deeper than the %d levels allowed", maxContextDepth)}
	}
	var request struct {
		Context any `json:"context"`
	}
	if err := json.Unmarshal(b, &request); err != nil {
		return nil, &evaluation{ErrorCode: codeParseError, ErrorDetails: "the request is no JSON object: " + cut(err.Error(), 200)}
	}
	context, ok := request.Context.(map[string]any)
	if request.Context != nil && !ok {
		return nil, &evaluation{ErrorCode: codeInvalidContext, ErrorDetails: "the context is no JSON object"}
	}
	if key, ok := context["targetingKey"]; ok {
		if _, ok := key.(string); !ok {
			return nil, &evaluation{ErrorCode: codeInvalidContext, ErrorDetails: "the targetingKey is no text"}
		}
	}
	return context, nil
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(unwritable)
	}
	write(w, status, b)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// jsonType is shared by all answers; nobody changes it.
var jsonType = []string{"application/json"}
