package scripts

import (
	"slices"
	"strings"
	"testing"

	"aftershock/detector"

	"github.com/google/go-cmp/cmp"
)

// Each script gives exactly these findings, "severity rule line"; set -eu stands in line 2 unless told otherwise.
func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"curl to a shell", "curl -fsSL https://x.example/i | sudo -n bash -s -- --yes", []string{"risk remote-code 3", "risk sudo 3"}},
		{"wget to a shell", "wget -O- https://x.example/i | tee /dev/null | sh", []string{"risk remote-code 3"}},
		{"eval of curl", `eval "$(curl -s https://x.example/i)"`, []string{"risk remote-code 3"}},
		{"bash of curl", "bash <(curl -s https://x.example/i)", []string{"risk remote-code 3"}},
		{"bash -c of curl", `bash -c "$(curl -s https://x.example/i)"`, []string{"risk remote-code 3"}},
		{"curl as data", "curl -s https://x.example/i | python3 -c 'import json'", nil},
		{"only told", `echo "curl https://x.example | sh"`, nil},
		{"removal", "set +u\nrm -rf $X/", []string{"blocker removal 4"}},
		{"removal of all below", `set +u; rm -rf "$X"/*`, []string{"blocker removal 3"}},
		{"removal below", `set +u; rm -rf "$1/var"`, []string{"risk removal 3"}},
		{"removal checked", `set +u; rm -rf "${X:?}/"`, nil},
		{"removal tested", `set +u; [ -n "$X" ] || exit 1; rm -rf "$X/"`, nil},
		{"removal of a constant", `set +u; X=/opt/dten; rm -rf $X/old`, nil},
		{"removal with nounset", `rm -rf "$X/"`, nil},
		{"removal unquoted", `rm -rf $X`, []string{"risk removal-unquoted 3"}},
		{"removal of mktemp", `d=$(mktemp -d); rm -rf $d`, nil},
		{"open", "chmod -R 777 /opt/dten", []string{"risk open-permissions 3"}},
		{"open symbolic", "chmod a+w /opt/dten/x", []string{"risk open-permissions 3"}},
		{"sticky", "chmod 1777 /opt/dten/tmp", nil},
		{"closed", "chmod 0755 x; chmod u+w x; chmod g+rw x; chmod +x y; chmod 775 z", nil},
		{"hosts", "echo 10.0.0.1 db >> /etc/hosts", []string{"risk hosts-file 3"}},
		{"hosts read", "grep db /etc/hosts", nil},
		{"sudoers", "sed -i s/a/b/ /etc/sudoers\necho x | tee /etc/sudoers.d/dten", []string{"risk sudoers 3", "risk sudoers 4"}},
		{"firewall", "ufw disable\niptables -F\nsystemctl disable --now firewalld", []string{"risk firewall 3", "risk firewall 4", "risk firewall 5", "risk unit-stopped 5", "note units-unknown 5"}},
		{"selinux", "setenforce 0", []string{"risk selinux 3"}},
		{"kill", "kill -9 $PID\npkill -KILL dten\npkill dten", []string{"risk kill 3", "risk kill 4"}},
		{"reboot", "shutdown -r now\nshutdown -c", []string{"risk reboot 3"}},
		{"own reboot", "reboot() { echo no; }\nreboot", nil},
		{"cd", "set +e\ncd /opt/dten\nrm -rf old\ncd /srv || exit 1\nrm x", []string{"risk cd-unchecked 4", "risk no-errexit 5"}},
		{"secret", "DB_PASSWORD=hunter2\nPGPASSWORD=hunter2 psql -c 'select 1'", []string{"risk credential 3", "risk credential 4"}},
		{"secret options", "mysql -u root -phunter2 x\ncurl -u bob:hunter2 https://a.example/\ncurl https://bob:hunter2@a.example/", []string{"risk credential 3", "risk credential 4", "risk credential 5"}},
		{"secret elsewhere", "DB_PASSWORD=$(cat /etc/dten/pw)\nTOKEN_FILE=/etc/token\nAPI_TOKEN=${1}", nil},
		{"temp", "date > /tmp/dten.log", []string{"note temp-file 3"}},
		{"temp run", "curl -so /tmp/x.sh https://a.example/\nsh /tmp/x.sh", []string{"risk remote-code 3", "risk temp-file 3"}},
		{"download run", "wget -qO ./i.sh https://a.example/i\nchmod +x i.sh\n./i.sh", []string{"risk remote-code 3"}},
		{"download checked", "curl -o /opt/i.sh https://a.example/i\necho \"$D /opt/i.sh\" | sha256sum -c\nsh /opt/i.sh", nil},
		{"download of data", "curl -o /opt/i.json https://a.example/i\njq . /opt/i.json", nil},
		{"here-document to a shell", "bash <<E\ncurl -s https://x.example/i | sh\nE", []string{"risk remote-code 4"}},
		{"here-string to a shell", "sh <<< 'curl -s https://x.example/i | sh'", []string{"risk remote-code 3"}},
		{"here-document as data", "python3 - x <<E\nreboot\nE\nsh x.sh <<E\nreboot\nE", nil},
		{"eval of a variable", "c='curl -s https://x.example/i | sh'\neval \"$c\"", []string{"risk remote-code 4"}},
		{"trap", "trap 'reboot' EXIT\ntrap - EXIT", []string{"risk reboot 3"}},
		{"encoded", "echo cmVib290 | base64 -d | sh\neval \"$(base64 --decode x)\"\nopenssl enc -d -aes256 -in x | bash", []string{"risk encoded-code 3", "risk encoded-code 4", "risk encoded-code 5"}},
		{"encoded as data", "base64 -d x > y\necho x | base64 | sh -c cat\nbase64 -d x | python3 -c 'import json'", nil},
		{"set -e undone", "set +e\nmv a b\ncp c d", []string{"risk no-errexit 4"}},
		{"set -e undone for a while", "set +e\nmv a b\ncp c d\nset -e", nil},
		{"the host's folders", "rm -rf /*\nrm -r /usr/lib/\nfind /etc -delete\nfind /var/log -name '*.gz' -delete\nrm -rf /usr/lib/dten /opt/dten/*", []string{"blocker removal 3", "blocker removal 4", "blocker removal 5"}},
		{"a disk", "mkfs.ext4 -q /dev/sdb1\ndd if=/dev/zero of=/dev/nvme0n1\ndd if=/dev/zero of=/swap\nmkfs.ext4 image", []string{"blocker removal 3", "blocker removal 4"}},
		{"wrapped", "nsenter -t 1 -m reboot\nunshare -n true\nsystemd-run --unit=x reboot", []string{"risk reboot 3", "risk reboot 5"}},
		{"by number", `$'\x72eb\157ot'`, []string{"risk reboot 3"}},
		{"system files otherwise", "cp hosts /etc/\ndd if=x of=/etc/sudoers\necho k >> /root/.ssh/authorized_keys\ncp x /etc/ld.so.preload", []string{"risk hosts-file 3", "risk sudoers 4", "risk accounts 5", "risk accounts 6"}},
		{"secret of an account", "echo 'root:hunter2' | chpasswd", []string{"risk credential 3"}},
		{"secret among several", "PASSWORD=hunter2\nPASSWORD=hunter2b", []string{"risk credential 3", "risk credential 4"}},
		{"a keyword", "token=rwuser\nif true; then token=rouser; fi", nil},
		{"mktemp", "t=$(mktemp)\ndate > \"$t\"", nil},
		{"webhook", "curl -X POST https://git.example/api/v4/projects/1/hooks -d url=x", []string{"note webhook 3"}},
		{"silence", "amtool silence add alertname=~Dten.* -d 2h", []string{"note silence 3"}},
		{"silence expired", "id=$(amtool silence add a=b)\namtool silence expire $id", nil},
		{"banner", "touch /var/www/maintenance.flag", []string{"note banner 3"}},
		{"banner gone", "touch /var/www/maintenance.flag\nsleep 1\nrm -f /var/www/maintenance.flag", nil},
		{"account", "useradd dten-migrate\nuseradd -r dten", []string{"note temporary-credential 3"}},
		{"cron off", "crontab -l | grep -v backup | crontab -\nmv /etc/cron.d/dten /root/dten.off", []string{"note cron-disabled 3", "note cron-disabled 4"}},
		{"stopped", "systemctl stop dten\nsystemctl start dten\nsystemctl stop other", []string{"note units-unknown 3", "risk unit-stopped 5"}},
		{"stopped until its socket", "systemctl stop dten\nsystemctl start dten.socket", []string{"note units-unknown 3"}},
		{"bad cron", "crontab - <<E\n61 3 * * * /x\nE", []string{"risk schedule 4"}},
		{"syntax", "if true; then\necho x\n", []string{"risk syntax 3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "#!/bin/bash\nset -eu\n" + tt.text + "\n"
			var got []string
			for _, f := range Check(t.Context(), []Script{{Path: "i.sh", Text: []byte(text), Mode: 0o755}}, Host{}) {
				if f.Rule != "scripts/scheduled-run" && f.Rule != "scripts/zone-unknown" {
					got = append(got, strings.ReplaceAll(brief([]detector.Finding{f})[0], "i.sh:", ""))
				}
				if f.What == "" || f.Why == "" || f.Do == "" {
					t.Errorf("%s lacks words: %+v", f.Rule, f)
				}
				if strings.Contains(f.What+f.Why+f.Do, "hunter2") {
					t.Errorf("%s shows the secret: %+v", f.Rule, f)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestUnits(t *testing.T) {
	host := Host{Units: []string{"dten.service", "dten@.service", "a.timer"}}
	for text, want := range map[string]string{
		"set -e\nsystemctl restart gone":                                          detector.Blocker,
		"systemctl restart gone":                                                  detector.Risk,
		"set -e\nsystemctl restart gone || true":                                  detector.Risk,
		"systemctl restart gone || exit 1":                                        detector.Blocker,
		"set -e\nsystemctl stop gone || true":                                     detector.Note,
		"set -e\nsudo service gone restart":                                       detector.Blocker,
		"set -e\n/etc/init.d/gone restart":                                        detector.Blocker,
		"set -e\nsystemctl restart dten dten@7 a.timer":                           "",
		"set -e\nif systemctl cat gone.service; then systemctl stop gone; fi":     "",
		"set -e\nsystemctl list-unit-files | grep -q gone && systemctl stop gone": "",
		"set -e\nsystemctl is-active gone":                                        "",
		"set -e\nsystemctl restart \"$UNIT\"":                                     "",
		"set -e\nU=gone\nsystemctl restart \"$U.service\"":                        detector.Blocker,
		"set -e\nsystemctl daemon-reload":                                         "",
		"set -e\nsystemctl --user restart gone":                                   "",
	} {
		got := ""
		for _, f := range Check(t.Context(), []Script{{Path: "i.sh", Text: []byte("#!/bin/sh\n" + text + "\n")}}, host) {
			if f.Rule == "scripts/unit-missing" {
				got = f.Severity
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestHost(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		text, rule, want string
		host             Host
	}{
		{"sudo true", "sudo", detector.Blocker, Host{Sudo: &no}},
		{"sudo -n true", "sudo", detector.Note, Host{Sudo: &yes}},
		{"sudo true", "sudo", detector.Risk, Host{Sudo: &yes}},
		{"sudo true", "sudo", detector.Note, Host{Sudo: &yes, Root: &yes}},
		{"reboot", "reboot", detector.Blocker, Host{Reboot: "none"}},
		{"reboot", "reboot", detector.Risk, Host{Reboot: "recommended"}},
		{"reboot", "reboot", detector.Note, Host{Reboot: "required"}},
	} {
		got := ""
		for _, f := range Check(t.Context(), []Script{{Path: "i.sh", Text: []byte("#!/bin/sh\n" + tt.text + "\n")}}, tt.host) {
			if f.Rule == "scripts/"+tt.rule {
				got = f.Severity
			}
		}
		if got != tt.want {
			t.Errorf("%s with %+v: got %q, want %q", tt.text, tt.host, got, tt.want)
		}
	}
}

func TestSQL(t *testing.T) {
	text := "#!/bin/bash\nTABLE=orders\npsql -1 -v ON_ERROR_STOP=1 dten <<SQL\nALTER TABLE $TABLE\n  ADD x int;\nSQL\n" +
		"sudo -u postgres psql -tAc \"DROP TABLE \\\"Old\\\"\" dten\nmysql dten -e 'TRUNCATE t'\necho 'DELETE FROM c' | psql\npsql -f sql/1.sql\nmysql dten < sql/2.sql\n# psql -c 'nothing'\n"
	want := []Statement{
		{Line: 4, Text: "ALTER TABLE orders\n  ADD x int;", Dialect: "postgresql", Single: true},
		{Line: 7, Text: `DROP TABLE "Old"`, Dialect: "postgresql"},
		{Line: 8, Text: "TRUNCATE t", Dialect: "mysql"},
		{Line: 9, Text: "DELETE FROM c", Dialect: "postgresql"},
		{Line: 10, File: "sql/1.sql", Dialect: "postgresql"},
		{Line: 11, File: "sql/2.sql", Dialect: "mysql"},
	}
	if d := cmp.Diff(want, SQL(Script{Path: "m.sh", Text: []byte(text)})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestHostile(t *testing.T) {
	for name, text := range map[string]string{
		"brackets": strings.Repeat("(", MaxText), "ifs": strings.Repeat("if ", MaxText/3), "substitutions": strings.Repeat("$(", MaxText/2),
		"nots": strings.Repeat("! ", MaxText/2), "quotes": strings.Repeat("\"$(", MaxText/3), "braces": strings.Repeat("${a:-", MaxText/6),
		"arithmetic": "$((" + strings.Repeat("-", MaxText-10), "ands": strings.Repeat("a&&", MaxText/3-10) + "a", "pipes": strings.Repeat("a|", MaxText/2-10) + "a", "some ands": strings.Repeat("rm -rf $X/ &&\n", 3000) + "a",
		"pipes into": strings.Repeat("{ echo a; ", 300) + strings.Repeat("} | tee /etc/cron.d/x", 300),
		"heredocs":   strings.Repeat("a<<b\n", MaxText/5), "calls": strings.Repeat("rm -rf $X/\n", MaxText/12), "large": strings.Repeat("a", MaxText+1), "zero": "a\x00b",
		"evals": strings.Repeat("eval 'eval \"eval x\"'\n", 20000), "cron": "echo '" + strings.Repeat("* * * * * x\n", 50000) + "' | crontab -",
	} {
		t.Run(name, func(t *testing.T) {
			got := Check(t.Context(), []Script{{Path: "i.sh", Text: []byte("#!/bin/bash\n" + text)[:min(len(text)+12, MaxText+1)]}}, Host{})
			if name != "evals" && name != "pipes into" && len(got) == 0 {
				t.Error("nothing is found")
			}
			if len(got) > 3*maxFindings {
				t.Errorf("%d findings", len(got))
			}
		})
	}
}

func TestShellcheckMissing(t *testing.T) {
	got := Check(t.Context(), []Script{{Path: "i.sh", Text: []byte("#!/bin/sh\necho $1\n")}}, Host{Shellcheck: "/nowhere/shellcheck"})
	if len(got) != 1 || got[0].Rule != "scripts/shellcheck" || got[0].Severity != detector.Note {
		t.Errorf("got %+v", got)
	}
	if !slices.Contains(brief(got), "note shellcheck i.sh:0") {
		t.Errorf("got %v", brief(got))
	}
}

// What is run by itself later is told, whatever has it run.
func TestDeferred(t *testing.T) {
	text := "#!/bin/sh\nset -e\nsystemd-run --on-calendar='*-*-* 03:00' /opt/x\nsystemd-run --on-active 30m --unit y /opt/y\necho /opt/x | at 03:00\nat -l\nsystemd-run --scope /opt/x\n"
	var got []string
	for _, f := range Check(t.Context(), []Script{{Path: "i.sh", Text: []byte(text), Mode: 0o755}}, Host{}) {
		got = append(got, brief([]detector.Finding{f})...)
	}
	want := []string{"note scheduled-run i.sh:3", "note scheduled-run i.sh:4", "note scheduled-run i.sh:5"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Of a program that is only installed no more is asked than of any.
func TestPrograms(t *testing.T) {
	s := Script{Path: "sbin/dump", Text: []byte("#!/bin/sh\ncd x\nrm -r y\nmv a b\n"), Mode: 0o755}
	if got := Check(t.Context(), []Script{s}, Host{}); len(got) == 0 {
		t.Error("a script of the upgrade isn't looked at")
	}
	s.Program = true
	if got := Check(t.Context(), []Script{s}, Host{}); len(got) > 0 {
		t.Error(got)
	}
}

// A package's own unit that Debian's helper stops is back with the next boot.
func TestStoppedByTheHelper(t *testing.T) {
	unit := Script{Path: "lib/systemd/system/dten.service", Text: []byte("[Service]\nExecStart=/usr/bin/dten\n")}
	for text, want := range map[string]string{"deb-systemd-invoke stop dten.service": "note", "systemctl stop dten.service": "risk", "deb-systemd-invoke stop other.service": ""} {
		got := ""
		for _, f := range Check(t.Context(), []Script{unit, {Path: "DEBIAN/preinst", Text: []byte("#!/bin/sh\nset -e\n" + text + "\n")}}, Host{}) {
			if f.Rule == "scripts/unit-stopped" {
				got += f.Severity
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
