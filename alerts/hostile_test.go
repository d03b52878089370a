package alerts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"golang.org/x/net/html"

	"aftershock/detector"
	"aftershock/internal/servers"
)

// enemies are alerts, and templates that make the most of the text's size, against
// which every receiver's output has to hold.
func enemies(t *testing.T) map[string]struct {
	alert    detector.Alert
	template string
} {
	t.Helper()
	all := map[string]struct {
		alert    detector.Alert
		template string
	}{"hostile": {hostile(), ""}}
	mention := story()
	mention.Root.Control = "<!channel> <@U1> @channel @all ~town-square [x](javascript:alert(1)) **b** <https://evil.example|click> &lt;b&gt; ```x```"
	mention.Flags = []string{"```<!here>@here```", "--boundary", "' & < > '"}
	all["mentions"] = struct {
		alert    detector.Alert
		template string
	}{mention, ""}
	for name, filler := range map[string]string{
		"angles": "<", "ampersands": "&", "quotes": `"`, "backslashes": `\`, "lines": "a\n", "emoji": "😀", "backticks": "`", "dots": ".\n", "word": "A", "stars": "*_",
	} {
		path := filepath.Join(t.TempDir(), name)
		text := "{{ .Headline }}\n\n{{ range .Commands }}{{ . }}\n{{ end }}" + strings.Repeat(filler, 40_000/len(filler))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all[name] = struct {
			alert    detector.Alert
			template string
		}{story(), path}
	}
	return all
}

// checks hold what a receiver sent to what its service takes.
var checks = map[string]func(*testing.T, []byte) []string{
	"alertmanager": checkAlertmanager,
	"slack":        checkSlack,
	"mattermost":   checkMattermost,
	"pagerduty":    checkPagerDuty,
	"opsgenie":     checkOpsgenie,
	"teams":        checkTeams,
	"webhook":      checkWebhook,
}

// TestHostile sends each enemy to each receiver.
func TestHostile(t *testing.T) {
	for name, enemy := range enemies(t) {
		for k, r := range httpReceivers("") {
			t.Run(name+"/"+r.Name, func(t *testing.T) {
				h := newHook(t, nil)
				c := everything(httpReceivers(h.URL)[k])
				c.Templates.Text = enemy.template
				s := sender(t, c)
				for _, a := range []detector.Alert{enemy.alert, resolved(enemy.alert)} {
					if err := s.Deliver(t.Context(), r.Name, a); err != nil {
						t.Fatal(err)
					}
				}
				got := h.requests()
				if len(got) != 2 {
					t.Fatalf("got %d requests, want 2", len(got))
				}
				for _, one := range got {
					if bytes.Contains(one.body, []byte("\x1b")) || !json.Valid(one.body) {
						t.Errorf("no clean JSON: %.200q", one.body)
					}
					if key := one.header.Get("Idempotency-Key"); r.Alertmanager == nil && !regexp.MustCompile(`^[0-9a-f]{16}-\d+-(firing|resolved)(-0)?$`).MatchString(key) {
						t.Errorf("got Idempotency-Key %q", key)
					}
				}
				shown := strings.Join(checks[r.Name](t, got[0].body), "\n")
				checkShown(t, shown)
				checkCommands(t, shown, enemy.alert)
			})
		}
	}
}

// checkShown holds what people see to be without characters that do something.
func checkShown(t *testing.T, shown string) {
	t.Helper()
	bad := func(r rune) bool {
		return r != '\n' && r != '\u2060' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf))
	}
	if n := strings.IndexFunc(shown, bad); n >= 0 {
		t.Errorf("control or format characters are shown: %.60q", shown[n:])
	}
}

// checkCommands finds the commands of the story whole.
func checkCommands(t *testing.T, shown string, a detector.Alert) {
	t.Helper()
	if a.Upgrade != story().Upgrade {
		return // the names of the hostile alert are shortened
	}
	shown = strings.ReplaceAll(shown, "\u2060", "")
	for _, flag := range a.Flags {
		if !strings.Contains(shown, "aftershock flags set "+quote(flag)+" ") {
			t.Errorf("the command for %s is missing or not whole in %.500q", flag, shown)
		}
	}
}

func quote(s string) string {
	if regexp.MustCompile(`^[a-z-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// units counts as UTF-16 does, which services written in JavaScript or C# do.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

func atMost(t *testing.T, what, s string, most int) {
	t.Helper()
	if n := units(s); n > most || n == 0 {
		t.Errorf("%s has %d characters, want 1 to %d", what, n, most)
	}
}

// strict decodes JSON into what the service knows: a field that it doesn't know is an
// error.
func strict(t *testing.T, body []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("decode: %v in %.300q", err, body)
	}
}

func checkAlertmanager(t *testing.T, body []byte) []string {
	var all []struct {
		Labels, Annotations            map[string]string
		StartsAt, EndsAt, GeneratorURL string
	}
	strict(t, body, &all)
	for n, v := range all[0].Labels {
		if !regexp.MustCompile(`^[a-zA-Z_]+$`).MatchString(n) || v == "" || units(v) > 160 {
			t.Errorf("label %q is %q", n, v)
		}
	}
	return []string{all[0].Annotations["summary"], all[0].Annotations["description"], all[0].Annotations["toggle"]}
}

func checkWebhook(t *testing.T, body []byte) []string {
	var p struct {
		CommonAnnotations map[string]string
	}
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatal(err)
	}
	return []string{p.CommonAnnotations["summary"], p.CommonAnnotations["description"], p.CommonAnnotations["toggle"]}
}

func checkPagerDuty(t *testing.T, body []byte) []string {
	if len(body) > 512_000 {
		t.Errorf("got %d bytes, want at most 512 kB", len(body))
	}
	var e struct {
		RoutingKey  string `json:"routing_key"`
		EventAction string `json:"event_action"`
		DedupKey    string `json:"dedup_key"`
		Client      string `json:"client"`
		ClientURL   string `json:"client_url"`
		Payload     struct {
			Summary, Source, Severity, Timestamp, Component, Group, Class string
			Details                                                       struct {
				Text, Toggle, Series, Story string
				Revision                    int
			} `json:"custom_details"`
		} `json:"payload"`
		Links []struct{ HRef, Text string } `json:"links"`
	}
	strict(t, body, &e)
	atMost(t, "the summary", e.Payload.Summary, 1024)
	atMost(t, "the source", e.Payload.Source, 1024)
	atMost(t, "the key", e.DedupKey, 255)
	if !slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity) {
		t.Errorf("got severity %q", e.Payload.Severity)
	}
	return []string{e.Payload.Summary, e.Payload.Details.Text}
}

func checkOpsgenie(t *testing.T, body []byte) []string {
	var a struct {
		Message, Alias, Description, Entity, Source, Priority string
		Tags                                                  []string
		Details                                               map[string]string
	}
	strict(t, body, &a)
	atMost(t, "the message", a.Message, 130)
	atMost(t, "the alias", a.Alias, 512)
	atMost(t, "the description", a.Description, 15_000)
	if a.Entity != "" { // notices have none
		atMost(t, "the entity", a.Entity, 512)
	}
	atMost(t, "the source", a.Source, 100)
	for _, tag := range a.Tags {
		atMost(t, "a tag", tag, 50)
	}
	total := 0
	for n, v := range a.Details {
		total += units(n) + units(v)
	}
	if len(a.Tags) > 20 || total > 8000 {
		t.Errorf("got %d tags and %d characters of details, want at most 20 and 8000", len(a.Tags), total)
	}
	return []string{a.Message, a.Description}
}

func checkSlack(t *testing.T, body []byte) []string {
	type text struct {
		Type, Text      string
		Verbatim, Emoji bool
	}
	var p struct {
		Channel, Text string
		Attachments   []struct {
			Color, Fallback string
			Blocks          []struct {
				Type     string
				BlockID  string `json:"block_id"`
				Text     *text
				Elements []struct {
					Type, URL string
					Text      text
				}
			}
		}
	}
	strict(t, body, &p)
	blocks := p.Attachments[0].Blocks
	if len(blocks) == 0 || len(blocks) > 50 {
		t.Errorf("got %d blocks, want 1 to 50", len(blocks))
	}
	raw := []string{p.Text, p.Attachments[0].Fallback}
	for _, b := range blocks {
		switch b.Type {
		case "section":
			atMost(t, "a section", b.Text.Text, 3000)
			if b.Text.Type != "mrkdwn" || !b.Text.Verbatim {
				t.Errorf("got a text of type %q, verbatim %v", b.Text.Type, b.Text.Verbatim)
			}
			if code, ok := strings.CutPrefix(b.Text.Text, "```"); ok && strings.Count(code, "```") != 1 {
				t.Errorf("the code ends early: %q", code)
			}
			raw = append(raw, b.Text.Text)
		case "actions":
			for _, e := range b.Elements {
				atMost(t, "a button", e.Text.Text, 75)
				atMost(t, "a URL", e.URL, 3000)
			}
		default:
			t.Errorf("got a block of type %q", b.Type)
		}
		if len(b.BlockID) > 255 {
			t.Errorf("got a block's ID of %d bytes", len(b.BlockID))
		}
	}
	entity := regexp.MustCompile(`&(amp|lt|gt);`)
	for n, s := range raw {
		if strings.ContainsAny(s, "<>") || strings.Contains(entity.ReplaceAllString(s, ""), "&") {
			t.Errorf("unescaped control characters in %.300q", s)
		}
		raw[n] = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(s)
	}
	return raw
}

func checkMattermost(t *testing.T, body []byte) []string {
	var p struct {
		Text        string
		Attachments []struct{ Color, Fallback, Text, Footer string }
	}
	strict(t, body, &p)
	a := p.Attachments[0]
	if attachments, err := json.Marshal(p.Attachments); err != nil || units(string(attachments)) > 8000 {
		t.Errorf("got attachments of %d characters (%v), want at most 8000", units(string(attachments)), err)
	}
	atMost(t, "the text", p.Text, 4000)
	var shown []string
	escaped := regexp.MustCompile("\\\\[\\\\`*_{}\\[\\]()#|<>~!^]")
	own := regexp.MustCompile(`\[(Toggle|Alert|Indicator|Review|Runbook|Flags)\]\(<https://[^ <>]+>\)`)
	fence := ""
	for line := range strings.SplitSeq(strings.Trim(p.Text, "*")+"\n"+a.Text, "\n") {
		ticks := len(line) - len(strings.TrimLeft(line, "`"))
		switch {
		case fence == "" && ticks >= 3 && ticks == len(line):
			fence = line
			continue
		case fence != "" && line == fence:
			fence = ""
			continue
		case fence != "":
			if strings.Contains(line, fence) {
				t.Errorf("the code ends early: %q", line)
			}
			shown = append(shown, line)
			continue
		}
		rest := escaped.ReplaceAllString(own.ReplaceAllString(line, ""), "")
		if strings.ContainsAny(strings.TrimPrefix(rest, "- "), "\\`*_{}[]()#|<>~!^") {
			t.Errorf("Markdown in %.300q", rest)
		}
		if strings.Contains(strings.ReplaceAll(rest, "@\u2060", ""), "@") {
			t.Errorf("a mention in %.300q", rest)
		}
		shown = append(shown, line)
	}
	if fence != "" {
		t.Error("code without end")
	}
	return shown
}

func checkTeams(t *testing.T, body []byte) []string {
	if len(body) > 28_000 {
		t.Errorf("got %d bytes, want at most 28 kB", len(body))
	}
	var m struct {
		Type, Summary string
		Attachments   []struct {
			ContentType string
			Content     struct {
				Schema        string `json:"$schema"`
				Type, Version string
				MSTeams       map[string]string
				Body          []struct {
					Type, ID, Spacing string
					Inlines           []struct{ Type, Text, Color, Weight, Size, FontType string }
				}
				Actions []struct{ Type, Title, URL string }
			}
		}
	}
	strict(t, body, &m)
	shown := []string{m.Summary}
	for _, e := range m.Attachments[0].Content.Body {
		if e.Type != "RichTextBlock" {
			t.Errorf("got a %s, which knows Markdown", e.Type)
		}
		for _, run := range e.Inlines {
			if run.Type != "TextRun" || run.Text == "" {
				t.Errorf("got a run %+v", run)
			}
			shown = append(shown, run.Text)
		}
	}
	return shown
}

// TestHostileMail sends each enemy through a real mail server, and reads what came as
// a reader would.
func TestHostileMail(t *testing.T) {
	server := servers.SMTP(t)
	taken := 0
	for name, enemy := range enemies(t) {
		t.Run(name, func(t *testing.T) {
			c := everything(mailReceiver(server, "ana@example.org"))
			c.Templates.Text = enemy.template
			if err := sender(t, c).Deliver(t.Context(), "mail", enemy.alert); err != nil {
				t.Fatal(err)
			}
			mails := server.Mails()
			if taken++; len(mails) != taken {
				t.Fatalf("got %d mails, want %d", len(mails), taken)
			}
			got := readMail(t, mails[taken-1].Text)
			var names []string
			for n := range got.header {
				names = append(names, n)
			}
			slices.Sort(names)
			want := "[Auto-Submitted Content-Type Date From In-Reply-To Message-Id Mime-Version References Subject To X-Auto-Response-Suppress]"
			if fmt.Sprint(names) != want {
				t.Errorf("got headers %s, want %s", names, want)
			}
			subject := decoded(t, got.header.Get("Subject"))
			atMost(t, "the subject", subject, 2*119)
			if !strings.HasPrefix(got.text, subject+"\n") {
				t.Errorf("got subject %q, want the first line of %.200q", subject, got.text)
			}
			checkShown(t, subject+got.text)
			checkCommands(t, got.text, enemy.alert)
			page := checkHTML(t, got.html)
			checkShown(t, page)
			checkCommands(t, page, enemy.alert)
		})
	}
}

// checkHTML holds a page to the elements that a mail of ours has, and gives its text.
func checkHTML(t *testing.T, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatalf("parse the HTML: %v", err)
	}
	known := strings.Fields("html head meta title body p pre br a")
	var text strings.Builder
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			text.WriteString(n.Data)
		case html.ElementNode:
			if !slices.Contains(known, n.Data) {
				t.Errorf("got an element %s", n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "href" && !strings.HasPrefix(a.Val, "https://") {
					t.Errorf("got an attribute %s=%q", a.Key, a.Val)
				}
			}
		case html.CommentNode, html.RawNode, html.ErrorNode:
			t.Errorf("got %q", n.Data)
		}
	}
	return text.String()
}

// TestHostileNotice: what there is to say of a flag holds to the same, with each
// receiver.
func TestHostileNotice(t *testing.T) {
	evil := "<!channel> @here <script>alert(1)</script> ```{{.Secret}}``` \x1b[31m\u202e" + strings.Repeat("&'\"", 4000)
	a := detector.Alert{
		Key: evil, Upgrade: evil, State: detector.AlertFiring, StartsAt: story().StartsAt, Revision: 1,
		Notice: &detector.Notice{Flag: evil, Text: evil, Command: "aftershock flags undo " + evil},
	}
	for k, r := range httpReceivers("") {
		t.Run(r.Name, func(t *testing.T) {
			h := newHook(t, nil)
			if err := sender(t, everything(httpReceivers(h.URL)[k])).Deliver(t.Context(), r.Name, a); err != nil {
				t.Fatal(err)
			}
			body := h.requests()[0].body
			if bytes.Contains(body, []byte("\x1b")) {
				t.Errorf("control characters in %.200q", body)
			}
			shown := strings.Join(checks[r.Name](t, body), "\n")
			checkShown(t, shown)
			if !strings.Contains(shown, "aftershock flags undo") {
				t.Errorf("the command is missing in %.300q", shown)
			}
		})
	}
	server := servers.SMTP(t)
	if err := sender(t, everything(mailReceiver(server, "ana@example.org"))).Deliver(t.Context(), "mail", a); err != nil {
		t.Fatal(err)
	}
	got := readMail(t, server.Mails()[0].Text)
	checkShown(t, got.text+checkHTML(t, got.html)+decoded(t, got.header.Get("Subject")))
}
