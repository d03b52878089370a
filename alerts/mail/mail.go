// Package mail sends alerts by SMTP, over TLS unless the config says otherwise.
//
// Each recipient gets a mail of its own, so that a refused address keeps no other
// from its mail. The mails of one alert are one thread, and a mail that comes
// twice has the same Message-ID.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
	"github.com/sirupsen/logrus"
	gomail "github.com/wneessen/go-mail"

	"aftershock/alerts/notify"
	"aftershock/detector/words"
)

// Notifier is one mail server with its recipients.
type Notifier struct {
	conf   Config
	tls    *tls.Config
	domain string // of the sender, in which Message-IDs are unique
	log    logrus.FieldLogger
	now    func() time.Time

	mu sync.Mutex
	// sent are the recipients of the messages that not everybody has yet, by ID.
	sent map[string]map[string]bool
}

// New makes the receiver. The files that it names must be readable.
func New(c Config, name string, log logrus.FieldLogger) (*Notifier, error) {
	if c.Username != "" {
		if _, err := c.password().Read("mail password"); err != nil {
			return nil, err
		}
	}
	t := c.TLS
	if t == nil {
		t = &config.TLSConfig{}
	}
	tlsConfig, err := config.NewTLSConfig(t)
	if err != nil {
		return nil, fmt.Errorf("set up TLS: %w", err)
	}
	host, _, err := net.SplitHostPort(c.Smarthost)
	if err != nil {
		return nil, fmt.Errorf("read the smarthost: %w", err)
	}
	if tlsConfig.ServerName == "" {
		tlsConfig.ServerName = host
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("read the sender's address: %w", err)
	}
	return &Notifier{
		conf: c, tls: tlsConfig, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:],
		log: log.WithField("receiver", name), now: time.Now, sent: make(map[string]map[string]bool),
	}, nil
}

// Notify sends the mails that aren't sent yet. It has failed as long as any of
// them may still be taken; one that never will be is told in the log, unless it
// is so with all.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) (bool, error) {
	had := n.had(m.ID())
	var mails []*gomail.Msg
	var to []string
	for _, t := range n.conf.To {
		if had[t] {
			continue
		}
		one, err := n.compose(m, t)
		if err != nil {
			return false, err
		}
		mails, to = append(mails, one), append(to, t)
	}
	if err := n.send(ctx, mails); err != nil {
		return true, fmt.Errorf("mail by %s: %s", n.conf.Smarthost, words.Line(err.Error()))
	}
	retry := false
	var errs []error
	for k, one := range mails {
		if one.IsDelivered() {
			had[to[k]] = true
			continue
		}
		permanent, err := failure(one)
		retry = retry || !permanent
		errs = append(errs, fmt.Errorf("mail to %s by %s: %w", to[k], n.conf.Smarthost, err))
	}
	if len(errs) > 0 && (retry || len(had) == 0) {
		return retry, errors.Join(errs...)
	}
	n.forget(m.ID())
	if len(errs) > 0 {
		n.log.WithError(errors.Join(errs...)).Error("some recipients never get the mail")
	}
	return false, nil
}

// failure is why a mail wasn't taken; permanent says that it never will be, which
// a server says by 5xx. A refused sender may be put right by another config.
func failure(one *gomail.Msg) (permanent bool, err error) {
	var refused *gomail.SendError
	if !errors.As(one.SendError(), &refused) {
		return false, errors.New("the connection ended before it was sent")
	}
	return refused.ErrorCode()/100 == 5 && refused.Reason != gomail.ErrSMTPMailFrom, errors.New(words.Line(refused.Error()))
}

// maxSent bounds the messages that are remembered.
const maxSent = 1000

// had are the recipients that have the message; deliveries of one message follow
// one another, so that only one changes it.
func (n *Notifier) had(id string) map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sent[id] == nil {
		if len(n.sent) == maxSent { // then doubles may come, with the same Message-ID
			clear(n.sent)
		}
		n.sent[id] = make(map[string]bool)
	}
	return n.sent[id]
}

func (n *Notifier) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sent, id)
}
