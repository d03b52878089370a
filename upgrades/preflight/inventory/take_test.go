package inventory

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// host makes a file system of a host. What ends with @ is a link.
func host(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		at := filepath.Join(root, strings.TrimSuffix(name, "@"))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, "@") {
			err = os.Symlink(content, at)
		} else {
			err = os.WriteFile(at, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const status = `Package: libssl3
Status: install ok installed
Version: 3.0.15-1~deb12u1
Description: libraries
 Version: 9.9 of nothing
Provides: libssl (= 3), libcrypto:any

Package: gone
Status: deinstall ok config-files
Version: 1

Package: held
Status: hold ok installed
Version: 2:1.0-1
`

func TestTake(t *testing.T) {
	root := host(t, map[string]string{
		"etc/hostname":                        "app1\n",
		"etc/os-release@":                     "../usr/lib/os-release",
		"usr/lib/os-release":                  "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"etc/localtime@":                      "/usr/share/zoneinfo/Europe/Berlin",
		"var/lib/dpkg/status":                 status,
		"proc/sys/kernel/osrelease":           "6.1.0-18-amd64\n",
		"proc/stat":                           "cpu 1 2\nbtime 1770000000\n",
		"proc/12/exe@":                        "/opt/dten/bin/dten-checkout (deleted)",
		"proc/12/stat":                        "12 (a) b) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 36000 1 1",
		"proc/7/exe@":                         "/usr/sbin/cron",
		"proc/15/exe@":                        "/memfd:sealed (deleted)",
		"proc/3/stat":                         "3 (kthreadd) S 1",
		"etc/systemd/system/dten.service":     "[Service]\nExecStart=/opt/dten\n[Install]\nWantedBy=multi-user.target\n",
		"etc/systemd/system/off.service@":     "/dev/null",
		"usr/lib/systemd/system/off.service":  "[Service]\n",
		"usr/lib/systemd/system/lone.service": "[Service]\n",
		"usr/lib/systemd/system/new.timer":    "[Timer]\n[Install]\n",
		"etc/systemd/system/multi-user.target.wants/dten.service@": "/etc/systemd/system/dten.service",
		"etc/systemd/system/dbus-x.service@":                       "/usr/lib/systemd/system/lone.service",
		"opt/dten/bin/dten-web":                                    "#!/bin/sh\n",
		"opt/dten/bin/link@":                                       "/opt/dten/bin/dten-web", // as the host sees it, not this machine
		"opt/dten/bin/out@":                                        "../../../../../../../../etc/passwd",
	})
	if err := os.Chtimes(filepath.Join(root, "opt/dten/bin/dten-web"), time.Time{}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 6, 8, 0, 0, 0, time.UTC)
	got, err := Take(t.Context(), root, Options{At: at, Files: []string{"/opt/dten/bin/*", "relative", "/opt/none/*"}, Known: Inventory{RetiredHosts: []string{"sftp.old.example"}, Kernel: "not taken over"}})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("#!/bin/sh\n"))
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := Inventory{
		TakenAt: at, Hosts: []string{"app1"}, TimeZone: "Europe/Berlin", Kernel: "6.1.0-18-amd64",
		OS: OS{"debian", "12", "Debian GNU/Linux 12 (bookworm)"},
		Packages: []Package{
			{Name: "held", Version: "2:1.0-1", Source: "dpkg"},
			{Name: "libssl3", Version: "3.0.15-1~deb12u1", Source: "dpkg", Provides: []string{"libssl (= 3)", "libcrypto"}},
		},
		Files: []File{
			{Path: "/opt/dten/bin/dten-web", SHA256: hex.EncodeToString(sum[:]), Modified: modified},
			{Path: "/opt/dten/bin/link", SHA256: hex.EncodeToString(sum[:]), Modified: modified},
		},
		Processes: []Process{
			{PID: 7, Exe: "/usr/sbin/cron"},
			{PID: 12, Exe: "/opt/dten/bin/dten-checkout", Deleted: true, Started: time.Unix(1770000360, 0).UTC()},
			{PID: 15, Exe: "/memfd:sealed"},
		},
		Units: []Unit{
			{"dbus-x.service", UnitAlias},
			{"dten.service", UnitEnabled},
			{"lone.service", UnitStatic},
			{"new.timer", UnitDisabled},
			{"off.service", UnitMasked},
		},
		RetiredHosts: []string{"sftp.old.example"},
		Notes:        []string{`files: "relative" is no absolute path`, "files: nothing is called /opt/none/*"},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Inventory{}, "Disks")); d != "" {
		t.Error(d)
	}
	if len(got.Disks) == 0 || got.Disks[0].Path != "/" || got.Disks[0].Free <= 0 {
		t.Errorf("disks %v", got.Disks)
	}
}

func TestTakeFails(t *testing.T) {
	if _, err := Take(t.Context(), "/does/not/exist", Options{}); err == nil {
		t.Error("a root that isn't there was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Take(ctx, t.TempDir(), Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	loop := host(t, map[string]string{"etc/hostname@": "/etc/other", "etc/other@": "/etc/hostname"})
	inv, err := Take(t.Context(), loop, Options{})
	if err != nil || !slices.ContainsFunc(inv.Notes, func(s string) bool { return strings.Contains(s, "too many links") }) {
		t.Errorf("a loop of links: %v, %v", inv.Notes, err)
	}
}

// TestTakeHere takes this machine, and holds packages, time zone and a process to what its own
// tools say.
func TestTakeHere(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A program that is deleted while it runs.
	gone := build(t, "gone", `var texts = []string{"/x"}

func Legacy(int) { fmt.Scanln() }`)
	cmd := exec.Command(gone)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	inv, err := Take(t.Context(), "/", Options{Files: []string{"/bin/true"}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(inv.Processes, func(p Process) bool {
		return p.PID == os.Getpid() && p.Exe == self && !p.Deleted && time.Since(p.Started) < time.Hour && time.Since(p.Started) > -time.Minute
	}) {
		t.Errorf("this process, %d, isn't among %v", os.Getpid(), inv.Processes)
	}
	if !slices.ContainsFunc(inv.Processes, func(p Process) bool { return p.PID == cmd.Process.Pid && p.Exe == gone && p.Deleted }) {
		t.Errorf("%s, process %d, isn't told as deleted", gone, cmd.Process.Pid)
	}
	if len(inv.Files) != 1 || len(inv.Files[0].SHA256) != 64 || inv.Files[0].BuildID == "" {
		t.Errorf("files %v", inv.Files)
	}
	if out, err := exec.Command("uname", "-r").Output(); err == nil && inv.Kernel != strings.TrimSpace(string(out)) {
		t.Errorf("kernel %q, uname says %s", inv.Kernel, out)
	}
	out, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n").Output()
	if err != nil {
		t.Skip("dpkg isn't installed")
	}
	var want, got []string
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "installed "); ok {
			want = append(want, strings.TrimSpace(rest))
		}
	}
	for _, p := range inv.Packages {
		if p.Source == "dpkg" {
			got = append(got, p.Name+" "+p.Version)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// header makes an rpm header as the database keeps it.
func header(fields map[uint32]any) []byte {
	var index, data []byte
	for _, tag := range []uint32{tagName, tagVersion, tagRelease, tagEpoch, tagProvideName} {
		v, ok := fields[tag]
		if !ok {
			continue
		}
		kind, count := uint32(typeString), uint32(1)
		offset := uint32(len(data))
		switch v := v.(type) {
		case string:
			data = append(append(data, v...), 0)
		case uint32:
			kind = typeInt32
			data = binary.BigEndian.AppendUint32(data, v)
		case []string:
			kind, count = typeStringArray, uint32(len(v))
			for _, s := range v {
				data = append(append(data, s...), 0)
			}
		}
		for _, n := range []uint32{tag, kind, offset, count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(index)/16))
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return append(append(out, index...), data...)
}

func TestRPMDatabase(t *testing.T) {
	root := host(t, map[string]string{"usr/lib/sysimage/rpm/README": ""})
	db, err := sql.Open("sqlite", filepath.Join(root, "usr/lib/sysimage/rpm/rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// As rpm's lib/backend/sqlite.c makes it; the log of writes isn't written back.
	for _, s := range []string{"PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0", "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range [][]byte{
		header(map[uint32]any{tagName: "openssl-libs", tagVersion: "1.1.1k", tagRelease: "12.el8_9", tagEpoch: uint32(1), tagProvideName: []string{"openssl-libs", "libcrypto.so.1.1()(64bit)", "openssl-fips"}}),
		header(map[uint32]any{tagName: "bash", tagVersion: "5.1.8", tagRelease: "9.el9"}),
		header(map[uint32]any{tagName: "gpg-pubkey", tagVersion: "1", tagRelease: "2"}),
	} {
		if _, err := db.Exec("INSERT INTO Packages (blob) VALUES (?)", h); err != nil {
			t.Fatal(err)
		}
	}
	inv, err := Take(t.Context(), root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Package{
		{Name: "bash", Version: "5.1.8-9.el9", Source: "rpm"},
		{Name: "openssl-libs", Version: "1:1.1.1k-12.el8_9", Source: "rpm", Provides: []string{"openssl-fips"}},
	}
	if d := cmp.Diff(want, inv.Packages, cmpopts.EquateEmpty()); d != "" {
		t.Error(d, inv.Notes)
	}
	old := host(t, map[string]string{"var/lib/rpm/Packages": "bdb"})
	if inv, err = Take(t.Context(), old, Options{RPM: "/must/not/run"}); err != nil || !slices.ContainsFunc(inv.Notes, func(s string) bool { return strings.Contains(s, "let rpm -qa be run") }) {
		t.Errorf("an old database: %v, %v", inv.Notes, err)
	}
	got := rpmList(strings.NewReader("zlib 0:1.2-3\nbash 1:5-2\nodd\n"))
	if d := cmp.Diff([]Package{{Name: "bash", Version: "1:5-2", Source: "rpm"}, {Name: "zlib", Version: "1.2-3", Source: "rpm"}}, got); d != "" {
		t.Error(d)
	}
	broken := host(t, map[string]string{"var/lib/rpm/rpmdb.sqlite": "no database"})
	if inv, err = Take(t.Context(), broken, Options{}); err != nil || !slices.ContainsFunc(inv.Notes, func(s string) bool { return strings.Contains(s, "rpmdb.sqlite can't be read") }) {
		t.Errorf("a broken database: %v, %v", inv.Notes, err)
	}
}

// TestRPMHeader reads a header that rpm 4.18.0 itself put into its database; the version is as
// rpm -qa --qf '%{EPOCHNUM}:%{VERSION}-%{RELEASE}' tells it.
func TestRPMHeader(t *testing.T) {
	blob, err := os.ReadFile("testdata/dten.rpmheader")
	if err != nil {
		t.Fatal(err)
	}
	got, err := rpmHeader(blob)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Package{Name: "dten", Version: "1:4.1.3~rc1-2.el9", Source: "rpm", Provides: []string{"dten-checkout"}}, got); d != "" {
		t.Error(d)
	}
	for i := range blob {
		if _, err := rpmHeader(blob[:i]); err == nil {
			t.Fatalf("a header cut off after %d of %d bytes is read", i, len(blob))
		}
	}
}

func FuzzHost(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("Package: a\n\nPackage"))
	f.Add(header(map[uint32]any{tagName: "bash", tagVersion: "5.1.8", tagEpoch: uint32(3), tagProvideName: []string{"a", "b"}}))
	f.Add([]byte("12 (a) b) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 36000 1 1"))
	f.Add([]byte("btime 5\nID=\"a\\\"\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		packages, _ := dpkgStatus(data)
		for _, p := range packages {
			if p.Name == "" {
				t.Error("a package without a name")
			}
		}
		if p, err := rpmHeader(data); err == nil && (p.Name == "" || strings.ContainsRune(p.Version, 0)) {
			t.Errorf("a package %q", fmt.Sprint(p))
		}
		startTicks(data)
		bootTime(data)
		osRelease(data)
	})
}
