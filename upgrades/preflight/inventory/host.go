package inventory

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// host puts down name, operating system, kernel and time zone.
func (t *taker) host(context.Context) {
	name := t.options.Host
	if name == "" {
		name = strings.TrimSpace(string(t.read("/etc/hostname")))
	}
	if name != "" {
		t.inv.Hosts = []string{name}
	}
	release := t.read("/etc/os-release")
	if release == nil {
		release = t.read("/usr/lib/os-release")
	}
	fields := osRelease(release)
	t.inv.OS = OS{ID: fields["ID"], Version: fields["VERSION_ID"], Name: fields["PRETTY_NAME"]}
	t.inv.Kernel = strings.TrimSpace(string(t.read("/proc/sys/kernel/osrelease")))
	if t.inv.Kernel == "" && t.root != "/" {
		t.note("the kernel isn't known: there is no /proc below %s", t.root)
	}
	t.inv.Machine = strings.TrimSpace(string(t.read("/proc/sys/kernel/arch")))
	t.inv.TimeZone = t.zone()
}

// zone is the IANA name that the host's clock is set to, "" where nothing tells.
func (t *taker) zone() string {
	zone := ""
	if to, err := os.Readlink(filepath.Join(t.root, "etc/localtime")); err == nil {
		_, zone, _ = strings.Cut(to, "/zoneinfo/")
	}
	if zone == "" {
		zone = strings.TrimSpace(string(t.read("/etc/timezone")))
	}
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return ""
	}
	return zone
}

// osRelease reads os-release(5).
func osRelease(data []byte) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		fields[name] = strings.NewReplacer(`\"`, `"`, `\$`, `$`, `\\`, `\`, "\\`", "`").Replace(value)
	}
	return fields
}

// unitDirectories come in the order in which systemd prefers them.
var unitDirectories = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// unitKinds are the suffixes of units' names.
var unitKinds = []string{".service", ".timer", ".socket", ".target", ".mount", ".automount", ".path", ".slice", ".swap"}

// units puts down the units in systemd's directories. Those that generators make at the start
// aren't in them.
func (t *taker) units(context.Context) {
	state := map[string]string{}
	enabled := map[string]bool{}
	for _, dir := range unitDirectories {
		for _, e := range t.list(dir) {
			name := e.Name()
			if e.IsDir() && (strings.HasSuffix(name, ".wants") || strings.HasSuffix(name, ".requires")) {
				for _, w := range t.list(path.Join(dir, name)) {
					enabled[w.Name()] = true
				}
				continue
			}
			if e.IsDir() || !slices.Contains(unitKinds, path.Ext(name)) || state[name] != "" || len(state) >= maxUnits {
				continue
			}
			state[name] = t.unitState(dir, e)
		}
	}
	if len(state) >= maxUnits {
		t.note("units: more than %d, the rest was left out", maxUnits)
	}
	for name, s := range state {
		if enabled[name] && (s == UnitDisabled || s == UnitStatic) {
			s = UnitEnabled
		}
		t.inv.Units = append(t.inv.Units, Unit{Name: name, State: s})
	}
	slices.SortFunc(t.inv.Units, func(a, b Unit) int { return strings.Compare(a.Name, b.Name) })
}

// unitState tells what a unit's file says of its state.
func (t *taker) unitState(dir string, e os.DirEntry) string {
	name := path.Join(dir, e.Name())
	if e.Type()&os.ModeSymlink != 0 {
		to, err := os.Readlink(filepath.Join(t.root, name))
		switch {
		case err != nil:
			return UnitStatic
		case to == "/dev/null":
			return UnitMasked
		case path.Base(to) != e.Name():
			return UnitAlias
		}
	}
	data := t.read(name)
	if len(bytes.TrimSpace(data)) == 0 {
		return UnitMasked
	}
	if bytes.Contains(data, []byte("[Install]")) {
		return UnitDisabled
	}
	return UnitStatic
}

// hertz is what the kernel tells times of processes in, everywhere but on
// machines that are no longer made.
const hertz = 100

// processes puts down what runs, each program and version once for each process that
// began: one of several with the same program and start second is enough.
func (t *taker) processes(ctx context.Context) {
	boot := bootTime(t.read("/proc/stat"))
	versions := map[string]string{}
	hidden := 0
	for _, e := range t.list("/proc") {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || ctx.Err() != nil {
			continue
		}
		dir := "/proc/" + e.Name()
		exe, err := os.Readlink(filepath.Join(t.root, dir, "exe"))
		if err != nil {
			if os.IsPermission(err) {
				hidden++
			}
			continue // a kernel thread, or gone
		}
		if len(t.inv.Processes) >= maxProcesses {
			t.note("processes: more than %d, the rest was left out", maxProcesses)
			break
		}
		p := Process{PID: pid}
		p.Exe, p.Deleted = strings.CutSuffix(exe, " (deleted)")
		p.Deleted = p.Deleted && !strings.HasPrefix(exe, "/memfd:") // was never on disk
		if ticks, ok := startTicks(t.readQuietly(dir + "/stat")); ok && !boot.IsZero() {
			p.Started = boot.Add(time.Duration(ticks) * (time.Second / hertz)).Truncate(time.Second)
		}
		p.Version = t.version(p, versions)
		t.inv.Processes = append(t.inv.Processes, p)
	}
	if hidden > 0 && os.Geteuid() == 0 {
		t.note("processes: %d couldn't be looked at, even by root", hidden)
	} else if hidden > 0 {
		t.note("processes: %d couldn't be looked at, being another user's: take the inventory as root to have them", hidden)
	}
	slices.SortFunc(t.inv.Processes, func(a, b Process) int { return a.PID - b.PID })
}

// readQuietly reads a file of a process that may be gone.
func (t *taker) readQuietly(name string) []byte {
	data, err := os.ReadFile(filepath.Join(t.root, name))
	if err != nil {
		return nil
	}
	return data
}

// bootTime reads btime of /proc/stat.
func bootTime(stat []byte) time.Time {
	s := bufio.NewScanner(bytes.NewReader(stat))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if rest, ok := strings.CutPrefix(s.Text(), "btime "); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil && n > 0 {
				return time.Unix(n, 0).UTC()
			}
		}
	}
	return time.Time{}
}

// startTicks reads field 22 of proc_pid_stat(5); the name in field 2 may hold anything.
func startTicks(stat []byte) (int64, bool) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, false
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(fields[19]), 10, 64)
	return n, err == nil && n >= 0 && n < 1<<50/hertz
}
