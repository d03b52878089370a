package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/detector/words"
	"aftershock/journal"
	"aftershock/upgrades/cleanup"
	"aftershock/web/access"
)

// PackageDetail is what is known of an upgrade's package: what its inspection found, how the
// upgrade is taken back, and what has to be cleaned up after it.
type PackageDetail struct {
	Upgrade  string             `json:"upgrade"`
	Title    string             `json:"title"` // what people call the upgrade
	Package  string             `json:"package,omitempty"`
	Findings []detector.Finding `json:"findings"`
	// True are the findings that came true: what the leading cause of a shift had foreseen.
	True     []string               `json:"came_true"`
	Rollback cleanup.Rollback       `json:"rollback"`
	Chores   []detector.LedgerEntry `json:"chores"`
	Count    detector.ChoreCount    `json:"chore_count"`
	At       time.Time              `json:"-"`
}

// Severities counts the findings by severity.
func (d PackageDetail) Severities() string {
	var parts []string
	for _, s := range []string{detector.Blocker, detector.Risk, detector.Note} {
		n := 0
		for _, f := range d.Findings {
			if f.Severity == s {
				n++
			}
		}
		switch {
		case n == 1:
			parts = append(parts, "1 "+s)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

// maxToggles bounds the toggles that are looked at for a plan.
const maxToggles = 1000

func (s *Server) packageOf(ctx context.Context, id string, now time.Time) (d PackageDetail, err error) {
	u, err := s.o.Journal.Upgrade(ctx, id)
	if err != nil {
		return d, err
	}
	chores, err := s.o.Journal.Chores(ctx, id)
	if err != nil {
		return d, err
	}
	toggles, err := s.o.Journal.Toggles(ctx, "", maxToggles)
	if err != nil {
		return d, err
	}
	d = PackageDetail{
		Upgrade: u.ID, Title: words.Upgrade(u), Package: u.Package, Findings: append([]detector.Finding{}, u.Findings...), True: []string{},
		Rollback: cleanup.Plan(u, toggles), Chores: append([]detector.LedgerEntry{}, chores...), Count: detector.CountChores(chores, now), At: now,
	}
	if len(u.Findings) == 0 {
		return d, nil
	}
	for _, e := range chores {
		if e.Foreseen != "" && !slices.Contains(d.True, e.Foreseen) {
			d.True = append(d.True, e.Foreseen)
		}
	}
	alerts, _, err := s.o.Journal.Alerts(ctx, journal.AlertQuery{Upgrade: id, Fired: true, Page: journal.Page{Limit: maxAlerts}})
	for _, a := range alerts {
		if f := a.Cause.Foreseen; f != "" && a.Cause.Probability >= 0.5 && !slices.Contains(d.True, f) {
			d.True = append(d.True, f)
		}
	}
	return d, err
}

func packagePath(upgrade string) string { return "/upgrades/" + url.PathEscape(upgrade) + "/package" }

func (s *Server) packagePage(w http.ResponseWriter, r *http.Request) error {
	d, err := s.packageOf(r.Context(), r.PathValue("id"), time.Now())
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "package.html", map[string]any{"Title": "Package of " + d.Title, "Detail": d, "Kinds": detector.ChoreKinds})
}

func (s *Server) showPackage(w http.ResponseWriter, r *http.Request) error {
	d, err := s.packageOf(r.Context(), r.PathValue("id"), time.Now())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, d)
}

// addChore puts a chore that a person names into the ledger.
func (s *Server) addChore(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		detector.Chore
		Actor string `json:"actor"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	e, err := s.newChore(r, in.Chore, s.actor(r, in.Actor))
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, e)
}

func (s *Server) newChore(r *http.Request, c detector.Chore, actor string) (e detector.LedgerEntry, err error) {
	if err := cleanup.ValidateChore(c); err != nil {
		return e, BadRequest(err.Error())
	}
	c.Probe = cmp.Or(c.Probe, cleanup.ProbeOf(c.Kind, c.Name))
	u, err := s.o.Journal.Upgrade(r.Context(), r.PathValue("id"))
	if err != nil {
		return e, err
	}
	return s.o.Journal.ChangeChore(r.Context(), u.ID, detector.ChoreID(c.Kind, c.Name), func(_ detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error) {
		if known {
			return e, false, problem{http.StatusConflict, fmt.Sprintf("the ledger has this %s already", c.Kind)}
		}
		return detector.LedgerEntry{Chore: c, State: detector.ChoreOpen, From: "person", At: time.Now().UTC(), Actor: actor}, true, nil
	})
}

func (s *Server) changeChore(w http.ResponseWriter, r *http.Request) error {
	var in cleanup.Change
	if err := decode(r, &in); err != nil {
		return err
	}
	in.Actor = s.actor(r, in.Actor)
	e, err := s.choreChanged(r, in)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, e)
}

func (s *Server) choreChanged(r *http.Request, c cleanup.Change) (e detector.LedgerEntry, err error) {
	if err := c.Validate(); err != nil {
		return e, BadRequest(err.Error())
	}
	return s.o.Journal.ChangeChore(r.Context(), r.PathValue("id"), r.PathValue("chore"), func(e detector.LedgerEntry, known bool) (detector.LedgerEntry, bool, error) {
		if !known {
			return e, false, fmt.Errorf("chore %.40q of upgrade %.80q: %w", r.PathValue("chore"), r.PathValue("id"), journal.ErrNotFound)
		}
		return c.Apply(e, time.Now()), true, nil
	})
}

// addChoreForm and choreForm are what the page sends.
func (s *Server) addChoreForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	c := detector.Chore{Kind: form.Get("kind"), Name: form.Get("name"), What: form.Get("what"), Owner: form.Get("owner")}
	if day := form.Get("due"); day != "" {
		if c.Due, err = time.Parse(time.DateOnly, day); err != nil {
			return BadRequest(fmt.Sprintf("due: %.20q isn't a date such as 2026-03-13", day))
		}
	}
	e, err := s.newChore(r, c, s.who(r, form))
	if err != nil {
		return err
	}
	http.Redirect(w, r, packagePath(e.Upgrade)+"#cleanup", http.StatusSeeOther)
	return nil
}

func (s *Server) choreForm(w http.ResponseWriter, r *http.Request) error {
	form, err := s.form(r, access.OnCall)
	if err != nil {
		return err
	}
	e, err := s.choreChanged(r, cleanup.Change{State: form.Get("state"), Note: form.Get("note"), Actor: s.who(r, form)})
	if err != nil {
		return err
	}
	http.Redirect(w, r, packagePath(e.Upgrade)+"#cleanup", http.StatusSeeOther)
	return nil
}
