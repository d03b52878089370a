package mail

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	gomail "github.com/wneessen/go-mail"
)

// mechanisms are the ways to sign in by their names in the config. Passwords go
// over TLS alone, or to this machine.
var mechanisms = map[string]gomail.Option{
	"":         gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthCramMD5),
	"plain":    gomail.WithSMTPAuth(gomail.SMTPAuthPlain),
	"login":    gomail.WithSMTPAuth(gomail.SMTPAuthLogin),
	"cram-md5": gomail.WithSMTPAuth(gomail.SMTPAuthCramMD5),
}

// send offers all mails to the server over one connection, which ends with ctx.
// What became of each stands in the mail; the error is one of the connection.
func (n *Notifier) send(ctx context.Context, mails []*gomail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, n.conf.Timeout)
	defer cancel()
	var conn net.Conn
	dial := func(ctx context.Context, network, address string) (_ net.Conn, err error) {
		conn, err = n.dial(ctx, network, address)
		return conn, err
	}
	client, err := n.client(dial)
	if err != nil {
		return err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if conn != nil {
		defer func() { _ = conn.Close() }() // what mattered was answered
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	}
	if err != nil {
		return err
	}
	_ = client.SendWithSMTPClient(session, mails...) // stands in the mails
	_ = client.CloseWithSMTPClient(session)          // by now the server has them or not
	return nil
}

func (n *Notifier) client(dial gomail.DialContextFunc) (*gomail.Client, error) {
	host, port, err := net.SplitHostPort(n.conf.Smarthost)
	if err != nil {
		return nil, fmt.Errorf("read the smarthost: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("read the smarthost's port: %w", err)
	}
	options := []gomail.Option{
		gomail.WithPort(number), gomail.WithTimeout(n.conf.Timeout), gomail.WithTLSConfig(n.tls), gomail.WithDialContextFunc(dial),
	}
	switch {
	case *n.conf.ImplicitTLS:
		options = append(options, gomail.WithSSL())
	case *n.conf.RequireTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	}
	if n.conf.Hello != "" {
		options = append(options, gomail.WithHELO(n.conf.Hello))
	}
	if n.conf.Username != "" {
		password, err := n.conf.password().Read("mail password")
		if err != nil {
			return nil, err
		}
		options = append(options, gomail.WithUsername(n.conf.Username), gomail.WithPassword(password), mechanisms[n.conf.Mechanism])
	}
	return gomail.NewClient(host, options...)
}

func (n *Notifier) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if *n.conf.ImplicitTLS {
		return (&tls.Dialer{Config: n.tls}).DialContext(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
