package inventory

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"aftershock/detector"
	"aftershock/upgrades/preflight/document"
	"aftershock/upgrades/preflight/version"
)

// Check holds the changes to the matrix: whether one may go from each version that the inventory
// has to the new one, by which steps, and whether what the steps need is there. Of products
// that the matrix or the inventory doesn't have, nothing is claimed.
//
// Rules: inventory/no-upgrade-path, inventory/intermediate-versions, inventory/disk-space,
// inventory/step-package, inventory/step-key, inventory/manual-step, inventory/step-downtime.
func (p Paths) Check(inv Inventory, changes []Change) []detector.Finding {
	var findings []detector.Finding
	type way struct{ product, from, to string }
	told := map[way]bool{} // a product's binaries go the same way
	for _, c := range changes {
		product, ok := p.product(c)
		if !ok {
			continue
		}
		to, err := c.version(product.scheme)
		if err != nil {
			continue // what can't be read is the manifest's finding
		}
		found := c.found(inv)
		if len(found) == 0 {
			found = Change{Name: product.Name, Also: product.Also}.found(inv)
		}
		for _, f := range found {
			from, err := f.In(product.scheme)
			w := way{product.Name, from.String(), to.String()}
			if err != nil || f.Replaced || told[w] {
				continue
			}
			told[w] = true
			for _, n := range p.between(inv, c, product, from, to) {
				if !slices.ContainsFunc(findings, func(o detector.Finding) bool { return o.What == n.What && o.Place == n.Place }) {
					findings = append(findings, n)
				}
			}
		}
	}
	return findings
}

func (p Paths) product(c Change) (Product, bool) {
	for _, n := range c.names() {
		if o, ok := p.Product(n); ok {
			return o, true
		}
	}
	return Product{}, false
}

func (p Paths) between(inv Inventory, c Change, product Product, from, to version.Version) []detector.Finding {
	steps, err := p.Route(product.Name, from.String(), to.String())
	var none *NoRoute
	if errors.As(err, &none) {
		do := fmt.Sprintf("Ask the vendor how to get from %s to %s, and add the answer to %s (%s, line %d).", from, to, path.Base(p.File), product.Name, product.Line)
		if none.Reached != "" {
			do = fmt.Sprintf("Upgrade to %s, which is as far as known paths lead, or ask the vendor for the rest of the way and add it to %s (line %d).", none.Reached, path.Base(p.File), product.Line)
		}
		return []detector.Finding{{
			Rule: "inventory/no-upgrade-path", Severity: detector.Blocker, Place: c.Place,
			What: fmt.Sprintf("%s can't go from %s, which is installed, to %s: %s", c.Name, from, to, none),
			Why:  "The vendor doesn't know this way: data and settings of the installed version may not be understood by the new one.",
			Do:   do,
		}}
	}
	if err != nil {
		return nil
	}
	var findings []detector.Finding
	if len(steps) > 1 {
		var way []string
		for _, s := range steps[:len(steps)-1] {
			way = append(way, s.To)
		}
		findings = append(findings, detector.Finding{
			Rule: "inventory/intermediate-versions", Severity: detector.Blocker, Place: c.Place,
			What: fmt.Sprintf("%s must go from %s through %s to %s", c.Name, from, strings.Join(way, ", "), to),
			Why:  fmt.Sprintf("No direct path is known (%s, line %d): a version in between changes data or settings in a way that the new one relies on.", path.Base(p.File), product.Line),
			Do:   fmt.Sprintf("Upgrade to %s first, let it settle, and then go on.", way[0]),
		})
	}
	for _, s := range steps {
		findings = append(findings, p.needs(inv, c, s)...)
	}
	return findings
}

// needs holds what a step needs to the inventory.
func (p Paths) needs(inv Inventory, c Change, s Step) []detector.Finding {
	n := s.Path.Needs
	step := fmt.Sprintf("the step of %s from %s to %s", c.Name, s.From, s.To)
	place := func(line int) detector.Place {
		if line == 0 {
			line = s.Path.Line
		}
		return detector.Place{File: p.File, Line: line}
	}
	var findings []detector.Finding
	add := func(rule, severity string, line int, what, why, do string) {
		findings = append(findings, detector.Finding{Rule: rule, Severity: severity, Place: place(line), What: what, Why: why, Do: do})
	}
	if d, ok := inv.disk(n.DiskPath); n.Disk > 0 && ok && d.Free < int64(n.Disk) {
		add("inventory/disk-space", detector.Blocker, n.Line, fmt.Sprintf("%s needs %s free on %s, where there are %s", step, n.Disk, d.Path, document.Size(d.Free)),
			"A disk that fills up in the middle of an upgrade leaves half of it behind, and often stops what else writes there.",
			fmt.Sprintf("Free at least %s on %s before the upgrade.", n.Disk-document.Size(d.Free), d.Path))
	}
	for _, t := range n.Packages {
		relations, err := version.ParseRelations(version.Debian, t.Value)
		if err != nil {
			continue
		}
		for _, any := range relations {
			if state, has := inv.Satisfied(any); state == Unsatisfied {
				add("inventory/step-package", detector.Blocker, t.Line, fmt.Sprintf("%s needs %s, and %s is installed", step, words(any), has),
					"The step fails or goes wrong without it.", fmt.Sprintf("Upgrade %s first.", any[0].Name))
			}
		}
	}
	for _, t := range n.Keys {
		add("inventory/step-key", detector.Note, t.Line, fmt.Sprintf("%s needs the setting %s", step, t.Value),
			"Without it the new build falls back to a default or doesn't start.", fmt.Sprintf("See with `aftershock config grep %s` that it is set on every host.", t.Value))
	}
	if n.Manual.Value != "" {
		add("inventory/manual-step", detector.Risk, n.Manual.Line, fmt.Sprintf("%s has a step by hand: %s", step, oneLine(n.Manual.Value)),
			"No script of the package does it; forgotten, the upgrade is only half done.", "Name who does it and when, and put it into the plan of the upgrade.")
	}
	if n.Downtime > 0 {
		add("inventory/step-downtime", detector.Note, n.Line, fmt.Sprintf("%s takes %s in which nothing answers", step, n.Downtime),
			"The watch and the people who are told of the upgrade must expect the gap.", "Announce it, and plan the window with it.")
	}
	return findings
}

// Downtime is how long nothing answers on a whole route.
func Downtime(steps []Step) time.Duration {
	var sum time.Duration
	for _, s := range steps {
		sum += time.Duration(s.Path.Needs.Downtime)
	}
	return sum
}

// disk gives the file system that a path is on.
func (inv Inventory) disk(name string) (Disk, bool) {
	if name == "" {
		name = "/"
	}
	best, ok := Disk{}, false
	for _, d := range inv.Disks {
		under := d.Path == "/" || name == d.Path || strings.HasPrefix(name, d.Path+"/")
		if under && len(d.Path) > len(best.Path) {
			best, ok = d, true
		}
	}
	return best, ok
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
