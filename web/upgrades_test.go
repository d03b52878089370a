package web_test

import (
	"strings"
	"testing"
	"time"

	"aftershock/web/webtest"
)

func TestUpgradesByAPI(t *testing.T) {
	s := story(t)
	record := `{"id":"next","started_at":"` + time.Now().UTC().Format(time.RFC3339) + `","binaries":[{"name":"dten-cart"}]}`
	future := `{"id":"later","started_at":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `","binaries":[{"name":"dten-cart"}]}`
	planned := `{"id":"soon","planned_start":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `","planned_minutes":90,"binaries":[{"name":"dten-cart"}]}`
	upgrade := "/api/v1/upgrades/" + webtest.UpgradeID
	answers(t, s, []apiCase{
		{"upgrades", "GET", "/api/v1/upgrades", "", "", 200, `"id":"dten-4.2.0"`},
		{"upgrades, wrong limit", "GET", "/api/v1/upgrades?limit=-1", "", "", 400, "limit"},
		{"upgrades, huge limit", "GET", "/api/v1/upgrades?limit=9223372036854775807", "", "", 200, `"next":""`},
		{"upgrades, wrong cursor", "GET", "/api/v1/upgrades?after=%21", "", "", 400, "cursor"},
		{"upgrades, unknown parameter", "GET", "/api/v1/upgrades?upgarde=x", "", "", 400, `upgarde`},
		{"upgrades, twice the same", "GET", "/api/v1/upgrades?limit=1&limit=2", "", "", 400, "2 times"},
		{"upgrades, broken parameters", "GET", "/api/v1/upgrades?limit=%zz", "", "", 400, "escape"},
		{"record", "POST", "/api/v1/upgrades", record, bearer, 202, `"source":"record"`},
		{"record, bearer in small letters", "POST", "/api/v1/upgrades", record, "bearer " + webtest.Token, 202, `"next"`},
		{"record, no token", "POST", "/api/v1/upgrades", record, "", 401, "AFTERSHOCK_TOKEN"},
		{"record, wrong token", "POST", "/api/v1/upgrades", record, "Bearer wrong", 401, "AFTERSHOCK_TOKEN"},
		{"record, basic", "POST", "/api/v1/upgrades", record, "Basic " + webtest.Token, 401, "AFTERSHOCK_TOKEN"},
		{"record, unknown field", "POST", "/api/v1/upgrades", `{"binarys":[]}`, bearer, 400, "binarys"},
		{"record, later", "POST", "/api/v1/upgrades", future, bearer, 400, "future"},
		{"record, planned", "POST", "/api/v1/upgrades", planned, bearer, 202, `"planned_minutes":90`},
		{"record, too big", "POST", "/api/v1/upgrades", strings.Repeat(" ", 1<<20+1), bearer, 413, "1048576"},
		{"upgrade", "GET", upgrade, "", "", 200, `"package":"Full-upgrade-package-dten.zip"`},
		{"upgrade, unknown", "GET", "/api/v1/upgrades/nope", "", "", 404, "nope"},
		{"close", "POST", upgrade + "/close", "", bearer, 202, webtest.UpgradeID},
		{"close, no token", "POST", upgrade + "/close", "", "", 401, "token"},
		{"close, unknown", "POST", "/api/v1/upgrades/nope/close", "", bearer, 404, "nope"},
		{"close, closed", "POST", "/api/v1/upgrades/dten-4.1.3/close", "", bearer, 409, "closed already"},
		{"verdicts", "GET", upgrade + "/verdicts", "", "", 200, `"verdict":"regressed"`},
		{"verdicts, unknown", "GET", "/api/v1/upgrades/nope/verdicts", "", "", 404, "nope"},
		{"report", "GET", upgrade + "/report", "", "", 200, "<!doctype html>"},
		{"report, md", "GET", upgrade + "/report?format=md", "", "", 200, "# "},
		{"report, json", "GET", upgrade + "/report?format=json", "", "", 200, "{"},
		{"report, wrong format", "GET", upgrade + "/report?format=pdf", "", "", 400, "pdf"},
		{"report, unknown", "GET", "/api/v1/upgrades/nope/report", "", "", 404, "nope"},
		{"events", "GET", "/api/v1/events?upgrade=dten-4.2.0", "", "", 200, `"event":"shift"`},
		{"events, wrong after", "GET", "/api/v1/events?after=x", "", "", 400, "after"},
	})
	recorded, closed := s.Loop.Told()
	if len(recorded) != 3 || recorded[0].ID != "next" || recorded[2].ID != "soon" || len(closed) != 1 || closed[0] != webtest.UpgradeID {
		t.Errorf("the watch was told of %v and %v", recorded, closed)
	}
}
