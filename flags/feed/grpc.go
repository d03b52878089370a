package feed

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"buf.build/gen/go/open-feature/flagd/grpc/go/flagd/sync/v1/syncv1grpc"
	syncv1 "buf.build/gen/go/open-feature/flagd/protocolbuffers/go/flagd/sync/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// maxMessage bounds what a caller may send over gRPC, in bytes.
	maxMessage = 16 << 10
	// selectorKey is where flagd's clients put the selector, as a header; the
	// field of the request is out of use there, but still known.
	selectorKey = "Flagd-Selector"
)

func newServer(f *Feed) *grpc.Server {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}))
	syncv1grpc.RegisterFlagSyncServiceServer(s, &service{feed: f})
	return s
}

// IsGRPC says whether a request is for ServeGRPC.
func IsGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// ServeGRPC serves flagd.sync.v1.FlagSyncService. The listener must speak HTTP/2.
// Key and limit are looked at before anything of the request is read.
func (f *Feed) ServeGRPC(w http.ResponseWriter, r *http.Request) {
	if !f.source.Admits(r) {
		f.metrics.refused.WithLabelValues(unknownCaller.reason).Inc()
		refuseGRPC(w, codes.Unauthenticated, unknownCaller.text)
		return
	}
	leave, refused := f.enter("grpc")
	if refused != nil {
		code := codes.ResourceExhausted
		if refused == &stopping {
			code = codes.Unavailable
		}
		refuseGRPC(w, code, refused.text)
		return
	}
	defer leave()
	f.grpc.ServeHTTP(f.patient(w), r)
}

// refuseGRPC answers with a status and nothing else. The text is plain ASCII
// without a percent sign, so that it needs no escaping.
func refuseGRPC(w http.ResponseWriter, code codes.Code, text string) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(int(code)))
	h.Set("Grpc-Message", text)
	w.WriteHeader(http.StatusOK)
}

// service implements flagd's sync service.
type service struct {
	syncv1grpc.UnimplementedFlagSyncServiceServer
	feed *Feed
}

// SyncFlags sends the definitions, and again whenever they changed.
func (s *service) SyncFlags(r *syncv1.SyncFlagsRequest, stream grpc.ServerStreamingServer[syncv1.SyncFlagsResponse]) error {
	ctx := stream.Context()
	old, stop := s.feed.end()
	defer stop()
	for {
		e := s.feed.source.Edition()
		c, err := s.pick(ctx, e, r)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(c.message); err != nil {
			return err
		}
		s.feed.metrics.sent.WithLabelValues("grpc").Inc()
		select {
		case <-e.superseded:
		case <-s.feed.closing:
			return status.Error(codes.Unavailable, stopping.text)
		case <-old:
			return status.Error(codes.DeadlineExceeded, "the stream has lived as long as flags.sync.stream_deadline allows; connect again")
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// FetchAllFlags sends the definitions once.
func (s *service) FetchAllFlags(ctx context.Context, r *syncv1.FetchAllFlagsRequest) (*syncv1.FetchAllFlagsResponse, error) {
	c, err := s.pick(ctx, s.feed.source.Edition(), r)
	if err != nil {
		return nil, err
	}
	return &syncv1.FetchAllFlagsResponse{FlagConfiguration: c.definitions}, nil
}

// GetMetadata answers old clients; it is the context of SyncFlags, which is
// empty.
//
//nolint:staticcheck // deprecated, and still asked for
func (s *service) GetMetadata(context.Context, *syncv1.GetMetadataRequest) (*syncv1.GetMetadataResponse, error) {
	return &syncv1.GetMetadataResponse{Metadata: &structpb.Struct{}}, nil
}

// pick gives what the caller selects of an edition; the header counts before
// the request's field.
func (s *service) pick(ctx context.Context, e *Edition, r interface{ GetSelector() string }) (*content, error) {
	selector := r.GetSelector()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if header := md.Get(selectorKey); len(header) > 0 {
			selector = header[0]
		}
	}
	if why := e.refuses(selector); why != "" {
		return nil, status.Error(codes.InvalidArgument, why)
	}
	c, err := e.content()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return c, nil
}

// refuses says why a selector can't be served, "" if it can. There is one set,
// which is selected by its flagSetId or by nothing.
func (e *Edition) refuses(selector string) string {
	name, value, ok := strings.Cut(selector, "=")
	if selector == "" || ok && name == "flagSetId" && value == e.set && e.set != "" {
		return ""
	}
	if len(selector) > 100 || !utf8.ValidString(selector) {
		selector = "(long or no text)"
	}
	there := "it has no flagSetId in its metadata, so leave the selector out"
	if e.set != "" {
		there = fmt.Sprintf("select it by flagSetId=%s, or leave the selector out", e.set)
	}
	return fmt.Sprintf("selector %q selects nothing: there is one set of flags; %s", selector, there)
}

// encoded is a message that is in its wire format already.
type encoded []byte

// codec is protobuf that takes encoded messages as they are, so that a message
// to a thousand callers is written once.
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}
