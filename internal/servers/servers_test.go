package servers

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/prometheus/prompb"
)

func TestMetricServersKeepWhatIsWritten(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *Server{
		"prometheus 2":    func(t testing.TB) *Server { return Prometheus(t, PrometheusOptions{}) },
		"prometheus 3":    func(t testing.TB) *Server { return Prometheus(t, PrometheusOptions{Major: 3}) },
		"victoriametrics": VictoriaMetrics,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			at := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
			series := []prompb.TimeSeries{{
				Labels:  []prompb.Label{{Name: "__name__", Value: "apples_total"}, {Name: "job", Value: "shop"}},
				Samples: []prompb.Sample{{Timestamp: at.UnixMilli(), Value: 7}},
			}}
			s.Write(series)
			if name == "victoriametrics" {
				s.Flush()
			}
			s.Stop()
			s.Start()
			resp, err := http.Get(s.URL + "/api/v1/query?query=apples_total&time=" + at.Add(time.Second).UTC().Format(time.RFC3339))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var got struct {
				Data struct{ Result []struct{ Value [2]any } }
			}
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if len(got.Data.Result) != 1 || got.Data.Result[0].Value[1] != "7" {
				t.Errorf("after a restart: got %+v, want one series at 7", got.Data.Result)
			}
		})
	}
}

func TestAlertmanagerAnswers(t *testing.T) {
	s := Alertmanager(t, AlertmanagerOptions{})
	if err := s.answers("/api/v2/status")(); err != nil {
		t.Errorf("get its status: %v", err)
	}
}

func TestPostgreSQLDatabasesAreApart(t *testing.T) {
	s := PostgreSQL(t)
	ctx := context.Background()
	var got []string
	for range 2 {
		conn, err := pgx.Connect(ctx, s.Database())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "CREATE TABLE apples (n int)"); err != nil {
			t.Error(err)
		}
		var name string
		if err := conn.QueryRow(ctx, "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	if diff := cmp.Diff([]string{"test1", "test2"}, got); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
}
