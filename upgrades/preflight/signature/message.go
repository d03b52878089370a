package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	_ "crypto/md5" // a signature may use what it shouldn't
	"crypto/rsa"
	_ "crypto/sha1" // a signature may use what it shouldn't
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"io"

	_ "golang.org/x/crypto/blake2b" // minisign's
)

// errMismatch says that a signature isn't one of these bytes by this key.
var errMismatch = errors.New("it isn't one of these bytes by this key")

// message is what is signed.
type message interface {
	digest(ctx context.Context, h crypto.Hash) ([]byte, error)
	whole(ctx context.Context) ([]byte, error)
}

// text is a message in memory.
type text []byte

func (t text) digest(_ context.Context, h crypto.Hash) ([]byte, error) {
	w := h.New()
	_, _ = w.Write(t) // never fails
	return w.Sum(nil), nil
}

func (t text) whole(context.Context) ([]byte, error) { return t, nil }

// open gives the file's bytes, which end with the context.
func (f *file) open(ctx context.Context) (io.ReadCloser, error) {
	r, err := f.fsys.Open(f.name)
	if err != nil {
		return nil, err
	}
	if f.parts == nil {
		return reading{ctx, r}, nil
	}
	all, err := parted(r, f.parts)
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	return reading{ctx, all}, nil
}

// reading is a file that is read until a context ends.
type reading struct {
	ctx context.Context
	io.ReadCloser
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

func (f *file) digest(ctx context.Context, h crypto.Hash) ([]byte, error) {
	if d, ok := f.digests[h]; ok {
		return d, nil
	}
	r, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	w := h.New()
	if _, err := io.CopyBuffer(w, r, make([]byte, 1<<18)); err != nil {
		return nil, err
	}
	f.digests[h] = w.Sum(nil)
	return f.digests[h], nil
}

func (f *file) whole(ctx context.Context) ([]byte, error) {
	r, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, maxMessage+1))
	if err == nil && n > maxMessage {
		err = fmt.Errorf("pure Ed25519 takes the whole message at once, and this is larger than %d MB", maxMessage>>20)
	}
	return b.Bytes(), err
}

// verify holds a signature to a message: errMismatch where it isn't one, another error where that
// can't be told. The hash is of no account for Ed25519.
func verify(ctx context.Context, pub crypto.PublicKey, h crypto.Hash, pss bool, m message, sig []byte) error {
	if k, ok := pub.(ed25519.PublicKey); ok {
		data, err := m.whole(ctx)
		if err != nil {
			return err
		}
		if !ed25519.Verify(k, data, sig) {
			return errMismatch
		}
		return nil
	}
	if h == 0 || !h.Available() {
		return errors.New("it uses a digest that isn't known")
	}
	digest, err := m.digest(ctx, h)
	if err != nil {
		return err
	}
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() > maxRSA {
			return fmt.Errorf("its RSA key has %d bits", k.N.BitLen())
		}
		if pss {
			err = rsa.VerifyPSS(k, h, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
		} else {
			err = rsa.VerifyPKCS1v15(k, h, digest, sig)
		}
		if errors.Is(err, rsa.ErrVerification) {
			return errMismatch
		}
		return err
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(k, digest, sig) {
			return errMismatch
		}
		return nil
	}
	return fmt.Errorf("its key is of a kind that isn't known (%T)", pub)
}

// maxRSA bounds RSA keys, in bits: larger ones take seconds.
const maxRSA = 16384
