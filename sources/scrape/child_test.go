package scrape

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/sirupsen/logrus"
)

// childScrape scrapes as fast as it can and acknowledges on standard output each
// sample of m_total once its scrape is done.
func childScrape(dir string, addrs []string) {
	log := logrus.New()
	log.SetLevel(logrus.ErrorLevel)
	ctx := context.Background()
	s, err := Open(ctx, testConfig(addrs...), dir, log, nil)
	must(err)
	var wg sync.WaitGroup
	var out sync.Mutex
	for _, e := range s.plan.endpoints(s.plan.Targets[0]) {
		l := s.newLoop(e)
		l.set = s.plan.set
		wg.Go(func() {
			for {
				l.scrape(ctx, time.Now())
				if l.status.Error != "" {
					continue
				}
				v := lastValue(ctx, s, e.labels.Get("instance"))
				out.Lock()
				fmt.Printf("%s %g\n", e.labels.Get("instance"), v)
				out.Unlock()
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
}

// lastValue reads the target's latest m_total.
func lastValue(ctx context.Context, s *Scraper, instance string) (v float64) {
	now := time.Now().UnixMilli()
	q, err := s.store.db.Querier(now-60_000, now)
	must(err)
	defer func() { _ = q.Close() }()
	set := q.Select(ctx, false, nil,
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "m_total"),
		labels.MustNewMatcher(labels.MatchEqual, "instance", instance))
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			_, v = it.At()
		}
	}
	must(set.Err())
	return v
}

// childFull scrapes twice, thrice while no file may grow, and twice again.
func childFull(dir, addr string) {
	signal.Ignore(syscall.SIGXFSZ)
	log := logrus.New()
	log.SetOutput(os.Stdout)
	ctx := context.Background()
	s, err := Open(ctx, testConfig(addr), dir, log, nil)
	must(err)
	l := s.newLoop(s.plan.endpoints(s.plan.Targets[0])[0])
	l.set = s.plan.set
	l.scrape(ctx, at(1))
	l.scrape(ctx, at(2))
	var was syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: was.Max}))
	for i := 3; i <= 5; i++ {
		l.scrape(ctx, at(i))
		s.store.maintain(time.Now().Add(time.Duration(i) * time.Minute)) // in vain
	}
	if !s.store.impaired() {
		must(fmt.Errorf("writing went on without a disk"))
	}
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))
	s.store.maintain(time.Now().Add(time.Hour))
	l.scrape(ctx, at(6))
	l.scrape(ctx, at(7))
	must(s.Close())
}
