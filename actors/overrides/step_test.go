package overrides

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/documents"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/test/kit"
)

// The actor's decisions, as text.
func TestSteps(t *testing.T) {
	kit.Scripts(t, func(t *testing.T) func(kit.Event) []string {
		s := &state{
			cfg:     Config{File: "tenants.yaml", Period: 10 * time.Second, Own: OwnConfig{Enabled: true, Poll: time.Minute}},
			inForce: &Limits{},
		}
		return func(e kit.Event) []string {
			asker := &actor.PID{Id: e.Fields["from"]}
			switch e.Name {
			case "configure":
				s.cfg.Own.Enabled = e.Fields["own"] == "yes"
				if e.Fields["file"] == "no" {
					s.cfg.File = ""
				}
				return nil
			case "started":
				return printStep(s.start())
			case "look":
				return printStep(s.onLookAtFile())
			case "file":
				return printStep(s.onFileRead(fileOf(e)))
			case "write":
				return printStep(s.onWrite(write{asker: asker, tenant: e.Fields["tenant"], version: uint64(e.Int(t, "version")), body: []byte("{}")}))
			case "remove":
				return printStep(s.onWrite(write{asker: asker, tenant: e.Fields["tenant"], version: uint64(e.Int(t, "version"))}))
			case "fill":
				for range maxWaiting {
					s.onWrite(write{})
				}
				return nil
			case "written":
				return printStep(s.onWritten(written{asker: asker, version: uint64(e.Int(t, "version")), err: errorOf(e)}))
			case "refresh":
				return printStep(s.onRefreshDue())
			case "refreshed":
				return printStep(s.onRefreshed(errorOf(e)))
			case "drain":
				return printStep(s.onDrain(&actor.PID{Id: "root"}))
			}
			t.Fatalf("unknown event %s", e.Name)
			return nil
		}
	})
}

// fileOf makes what a read of the file found: text=T is a file with one tenant of that name.
func fileOf(e kit.Event) fileRead {
	m := fileRead{err: errorOf(e)}
	if text := e.Fields["text"]; text != "" {
		m.text = []byte(text)
	}
	if name := e.Fields["tenant"]; name != "" {
		m.limits = &Limits{Set: limits.Set{Entries: map[string]limits.Tenant{name: {}}}}
	}
	return m
}

func errorOf(e kit.Event) error {
	switch name := e.Fields["err"]; name {
	case "":
		return nil
	case "version":
		return fmt.Errorf("write: %w", documents.ErrVersion)
	case "full":
		return fmt.Errorf("write: %w", documents.ErrFull)
	case "corrupt":
		return fmt.Errorf("write: %w", journal.ErrCorrupt)
	default:
		return errors.New(name)
	}
}

// printStep prints a step in the order in which it is carried out.
func printStep(s step) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if s.putInForce != nil {
		for name := range s.putInForce.Entries {
			add("in force: limits of %s", name)
		}
	}
	if s.keepOld != nil {
		add("error, limits stay: %v", s.keepOld)
	}
	if s.readFile {
		add("read the file")
	}
	if s.fileAfter > 0 {
		add("look at the file after=%s", s.fileAfter)
	}
	switch r := s.reply.(type) {
	case nil:
	case limits.OwnWritten:
		add("reply to=%s version=%d conflict=%v", s.asker.GetId(), r.Version, r.Conflict)
	case *status.Error:
		add("reply to=%s %s: %v", s.asker.GetId(), r.Class, r)
	}
	if w := s.write; w != nil && w.body == nil {
		add("remove tenant=%s version=%d", w.tenant, w.version)
	} else if w != nil {
		add("write tenant=%s version=%d", w.tenant, w.version)
	}
	if s.refresh {
		add("refresh documents")
	}
	if s.refreshError != nil {
		add("error, documents stay: %v", s.refreshError)
	}
	if s.refreshAfter > 0 {
		add("refresh documents after=%s", s.refreshAfter)
	}
	if s.drained != nil {
		add("drained")
	}
	return out
}
