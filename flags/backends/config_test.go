package backends_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"aftershock/flags/backends"
	"aftershock/flags/flagdfile"
	"aftershock/flags/httpcall"
	"aftershock/flags/kubernetes"
	"aftershock/flags/remote"
	"aftershock/flags/unleash"
)

func TestConfig(t *testing.T) {
	c := backends.Config{
		{Name: "disk", Kind: "flagd-file", Flags: []string{"disk-*"}, FlagdFile: &flagdfile.Config{Path: "flags.json"}},
		{Name: "cluster", Kind: "kubernetes", Flags: []string{"k"}, Kubernetes: &kubernetes.Config{Namespace: "a", Resource: "b"}},
		{Name: "unleash", Kind: "unleash", Flags: []string{"u"}, Unleash: &unleash.Config{URL: "https://u.example.org", Frontend: &unleash.Frontend{}}},
	}
	c.SetDefaults()
	if errs := c.Validate("b"); len(errs) > 0 {
		t.Fatal(errs)
	}
	all, err := c.Open()
	if err != nil || len(all) != 3 || all[2].Provider == nil || all[0].Provider != nil || all[0].Check != 10*time.Second {
		t.Fatalf("open: got %+v, %v", all, err)
	}
	for flag, want := range map[string]int{"disk-a": 0, "disk-": 0, "k": 1, "kk": -1, "": -1} {
		if got := c.Of(flag); got != want {
			t.Errorf("Of(%q) = %d, want %d", flag, got, want)
		}
	}
	if files := c.Files(); len(files) != 4 {
		t.Errorf("%d paths, want 4: the file and three tokens", len(files))
	}
}

func TestBadConfig(t *testing.T) {
	for want, e := range map[string]backends.Entry{
		"b[0].name":         {Name: "a b", Kind: "flagd-file", Flags: []string{"x"}, FlagdFile: &flagdfile.Config{Path: "f"}},
		"b[0].kind":         {Name: "a", Kind: "flipt", Flags: []string{"x"}},
		"b[0].flags":        {Name: "a", Kind: "flagd-file", FlagdFile: &flagdfile.Config{Path: "f"}},
		"b[0].flags[1]":     {Name: "a", Kind: "flagd-file", Flags: []string{"x", "x"}, FlagdFile: &flagdfile.Config{Path: "f"}},
		"b[0].flags[0]":     {Name: "a", Kind: "flagd-file", Flags: []string{"[x"}, FlagdFile: &flagdfile.Config{Path: "f"}},
		"b[0].flagd_file":   {Name: "a", Kind: "flagd-file", Flags: []string{"x"}},
		"b[0].http:":        {Name: "a", Kind: "flagd-file", Flags: []string{"x"}, FlagdFile: &flagdfile.Config{Path: "f"}, HTTP: &httpcall.Config{}},
		"b[0].unleash.url":  {Name: "a", Kind: "unleash", Flags: []string{"x"}, Unleash: &unleash.Config{}},
		"b[0].ofrep.url":    {Name: "a", Kind: "flagd-file", Flags: []string{"x"}, FlagdFile: &flagdfile.Config{Path: "f"}, OFREP: &backends.Endpoint{}},
		"b[0].check":        {Name: "a", Kind: "flagd-file", Flags: []string{"x"}, FlagdFile: &flagdfile.Config{Path: "f"}, Check: -1},
		"YAML":              {Name: "a", Kind: "flagd-file", Flags: []string{"x"}, FlagdFile: &flagdfile.Config{Path: "f.yml"}},
		"one of them":       {Name: "a", Kind: "unleash", Flags: []string{"x"}, OFREP: &backends.Endpoint{URL: "http://x"}, Unleash: &unleash.Config{URL: "http://x", Frontend: &unleash.Frontend{}}},
		"holds credentials": {Name: "a", Kind: "unleash", Flags: []string{"x"}, Unleash: &unleash.Config{URL: "https://me:hidden@x.example.org"}},
		"unleash.timeout":   {Name: "a", Kind: "unleash", Flags: []string{"x"}, Unleash: &unleash.Config{URL: "https://x", HTTP: remote.HTTP{Timeout: time.Hour}}},
	} {
		c := backends.Config{e}
		c.SetDefaults()
		if err := errors.Join(c.Validate("b")...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("want a problem with %s, got %v", want, err)
		}
	}
}
