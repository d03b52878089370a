package inbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aftershock/detector"
)

// deployment is the webhook of GitHub about deployments and their statuses.
type deployment struct {
	Action     string `json:"action"`
	Deployment struct {
		ID          int64           `json:"id"`
		Ref         string          `json:"ref"`
		SHA         string          `json:"sha"`
		Task        string          `json:"task"`
		Environment string          `json:"environment"`
		CreatedAt   string          `json:"created_at"`
		Payload     json.RawMessage `json:"payload"`
	} `json:"deployment"`
	Status *struct {
		State          string `json:"state"`
		Environment    string `json:"environment"`
		CreatedAt      string `json:"created_at"`
		EnvironmentURL string `json:"environment_url"`
		TargetURL      string `json:"target_url"`
		LogURL         string `json:"log_url"`
	} `json:"deployment_status"`
	Repository struct {
		Name     string `json:"name"`
		FullName string `json:"full_name"`
		HTMLURL  string `json:"html_url"`
	} `json:"repository"`
}

func readGitHub(m Message) ([]told, error) {
	switch kind := m.Header.Get("X-GitHub-Event"); kind {
	case "deployment", "deployment_status":
	case "":
		return nil, errors.New("header X-GitHub-Event is missing: want deployment or deployment_status")
	default:
		return ignored("%.60s replaces no binary, a deployment or deployment_status does", kind), nil
	}
	if kind := m.Header.Get("Content-Type"); strings.HasPrefix(kind, "application/x-www-form-urlencoded") {
		return nil, errors.New("it comes as a form: set the webhook's content type to application/json")
	}
	var d deployment
	if err := decode(m.Body, &d); err != nil {
		return nil, err
	}
	repository, err := name("repository.name", d.Repository.Name)
	if err != nil {
		return nil, err
	}
	if d.Deployment.ID == 0 {
		return nil, errors.New("deployment.id is missing")
	}
	t := told{
		key:         []string{d.Repository.FullName, strconv.FormatInt(d.Deployment.ID, 10)},
		title:       repository,
		environment: d.Deployment.Environment,
		words:       fmt.Sprintf("deployment %d of %s at %s (%.12s)", d.Deployment.ID, cmp.Or(d.Repository.FullName, repository), d.Deployment.Ref, d.Deployment.SHA),
		link:        d.Repository.HTMLURL,
		rollback:    strings.Contains(strings.ToLower(d.Deployment.Task), "rollback"),
	}
	if err := d.describe(&t, repository); err != nil {
		return nil, err
	}
	return d.window(m.Header.Get("X-GitHub-Event"), t)
}

// describe takes what the deployment's payload, which is free in form, says of
// the binary; without it the repository and the tag stand for it.
func (d *deployment) describe(t *told, repository string) error {
	payload := d.Deployment.Payload
	var text string
	if json.Unmarshal(payload, &text) == nil {
		payload = json.RawMessage(text) // JSON within a text
	}
	var said struct {
		Binary          string `json:"binary"`
		Service         string `json:"service"`
		Version         string `json:"version"`
		PreviousVersion string `json:"previous_version"`
		Rollback        bool   `json:"rollback"`
	}
	// What isn't of this form is somebody else's.
	_ = json.Unmarshal(payload, &said)
	of, err := name("deployment.payload.service", cmp.Or(said.Binary, said.Service, repository))
	if err != nil {
		return err
	}
	t.rollback = t.rollback || said.Rollback
	t.binaries = []detector.Binary{{
		Name: of, From: version(said.PreviousVersion), To: cmp.Or(version(said.Version), version(d.Deployment.Ref)),
	}}
	return nil
}

// window gives the change its start or its end.
func (d *deployment) window(kind string, t told) ([]told, error) {
	var err error
	if kind == "deployment" || d.Status == nil {
		if kind == "deployment_status" {
			return nil, errors.New("deployment_status is missing")
		}
		t.started, err = moment("deployment.created_at", d.Deployment.CreatedAt)
		if err == nil && t.started.IsZero() {
			err = errors.New("deployment.created_at is missing")
		}
		return []told{t}, err
	}
	at, err := moment("deployment_status.created_at", d.Status.CreatedAt)
	if err != nil {
		return nil, err
	}
	if at.IsZero() {
		return nil, errors.New("deployment_status.created_at is missing")
	}
	t.environment = cmp.Or(d.Status.Environment, t.environment)
	t.link = cmp.Or(d.Status.LogURL, d.Status.TargetURL, t.link)
	switch state := d.Status.State; {
	case state == "in_progress":
		t.started = at
	case slices.Contains([]string{"success", "failure", "error"}, state):
		t.finished, t.failed = at, state != "success"
	case slices.Contains([]string{"queued", "pending", "waiting", "inactive"}, state):
		return ignored("state %s replaces no binary", state), nil
	default:
		return nil, fmt.Errorf("deployment_status.state: %.40q isn't known: want in_progress, success, failure, error, queued, pending, waiting or inactive", state)
	}
	return []told{t}, nil
}
