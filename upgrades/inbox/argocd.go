package inbox

import (
	"fmt"
	"slices"
	"strings"

	"aftershock/detector"
)

// readArgoCD reads the body that docs/inbox.md has as a template for Argo CD
// Notifications: what a webhook of it sends is up to its user.
func readArgoCD(m Message) ([]told, error) {
	var body struct {
		App         string   `json:"app"`
		Namespace   string   `json:"namespace"`
		Environment string   `json:"environment"`
		Phase       string   `json:"phase"`
		Revision    string   `json:"revision"`
		StartedAt   string   `json:"started_at"`
		FinishedAt  string   `json:"finished_at"`
		Images      []string `json:"images"`
		Rollback    bool     `json:"rollback"`
		URL         string   `json:"url"`
	}
	if err := decode(m.Body, &body); err != nil {
		return nil, err
	}
	app, err := name("app", body.App)
	if err != nil {
		return nil, err
	}
	t := told{
		// A sync of one application is known by when it began.
		key: []string{body.Namespace, app, body.StartedAt}, title: app,
		environment: body.Environment, rollback: body.Rollback, link: body.URL,
		words: "application " + app,
	}
	if body.Revision != "" {
		t.words += " at " + body.Revision
	}
	if t.started, err = moment("started_at", body.StartedAt); err != nil {
		return nil, err
	}
	if t.started.IsZero() {
		return nil, fmt.Errorf("started_at is missing: take app.status.operationState.startedAt")
	}
	switch body.Phase {
	case "Running":
	case "Succeeded", "Failed", "Error":
		t.failed = body.Phase != "Succeeded"
		if t.finished, err = moment("finished_at", body.FinishedAt); err != nil {
			return nil, err
		}
		if t.finished.IsZero() {
			t.finished = m.Now.UTC()
		}
	case "Terminating":
		return ignored("phase Terminating: what ends it is told later"), nil
	default:
		return nil, fmt.Errorf("phase: want Running, Succeeded, Failed, Error or Terminating (app.status.operationState.phase), got %.40q", body.Phase)
	}
	t.binaries = []detector.Binary{applicationBinary(app, body.Images)}
	return []told{t}, nil
}

// applicationBinary is the binary that an application runs. Its images are all
// that it has, changed or not, so that only one is taken from them: the only
// one, or that which has the application's name.
func applicationBinary(app string, images []string) detector.Binary {
	if len(images) == 1 {
		if of, to := image(images[0]); of != "" {
			return detector.Binary{Name: printable(of, maxText), To: to}
		}
	}
	b := detector.Binary{Name: app}
	at := slices.IndexFunc(images, func(ref string) bool {
		of, _ := image(ref)
		return of == app || strings.HasSuffix(of, "-"+app)
	})
	if at >= 0 {
		_, b.To = image(images[at])
	}
	return b
}
