package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// Build is one series of build information as telemetry has it.
type Build struct {
	// Metric is its name, "dten_payments_build_info" or "target_info".
	Metric string
	Labels map[string]string
}

// Services gives the services that run by their build information, in order of
// service, version and revision: several where a roll-out isn't over. Series without a version
// and a revision, and those of names that tell nothing, are left out.
func Services(builds []Build) []Service {
	type key struct{ service, version, revision, binary string }
	instances := map[key][]string{}
	for _, b := range builds {
		prefix, ok := strings.CutSuffix(b.Metric, "build_info")
		prefix = strings.TrimSuffix(prefix, "_")
		if !ok && b.Metric != "target_info" {
			continue
		}
		label := func(names ...string) string {
			for _, n := range names {
				if v := b.Labels[n]; v != "" && !unknown(v) {
					return v
				}
			}
			return ""
		}
		k := key{
			service:  label("service", "service_name", "app", "job"),
			version:  label("version", "service_version", "app_version"),
			revision: label("revision", "vcs_revision", "git_commit", "commit", "sha"),
			binary:   label("binary", "program"),
		}
		generic := slices.Contains([]string{"", "go", "app", "application", "service"}, prefix)
		if k.binary == "" && !generic && ok {
			k.binary = prefix
		}
		k.service = cmp.Or(k.service, k.binary)
		if k.binary != "" && same(k.binary, k.service) {
			k.binary = ""
		}
		if k.service == "" || k.version == "" && k.revision == "" {
			continue
		}
		instances[k] = append(instances[k], label("instance", "pod", "host_name"))
	}
	services := []Service{}
	for k, list := range instances {
		slices.Sort(list)
		list = slices.Compact(list)
		list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
		services = append(services, Service{Service: k.service, Version: k.version, Revision: k.revision, Binary: k.binary, Instances: list})
	}
	slices.SortFunc(services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Binary, b.Binary))
	})
	return services
}

// unknown are the words with which programs say that they don't know.
func unknown(v string) bool {
	switch strings.ToLower(v) {
	case "unknown", "(devel)", "(unknown)", "none", "n/a", "<unknown>":
		return true
	}
	return false
}
