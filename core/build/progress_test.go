// SPDX-License-Identifier: Apache-2.0

package build

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/outlast-ci/outlast/core/event"
)

// replay reads a recording of a client's stderr.
func replay(text []byte) (*progress, *recorder) {
	seen := &recorder{}
	p := newProgress(Options{Name: "web", Observe: seen.observe})
	p.read(bytes.NewReader(text))
	return p, seen
}

// errExit is what a client's failure looks like without its words.
var errExit = errors.New("buildctl: exit status 1")

// TestRecorded: testdata/rawjson holds what buildctl 0.34 and buildx 0.38 (with
// Docker's engine 20.10) wrote for real; beside it lies what is made of it.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/rawjson/*.ndjson")
	if err != nil || len(files) < 8 {
		t.Fatalf("recordings %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, seen := replay(text)
			var got strings.Builder
			for _, e := range seen.events {
				fmt.Fprintf(&got, "%s %d%% %s: %s\n", e.Kind, e.Percent, e.Object, e.Message)
				if e.Stage != "build" {
					t.Errorf("an event of stage %q", e.Stage)
				}
			}
			fmt.Fprintf(&got, "%d steps, %d cached\n%s\n", len(p.steps), p.cached(), p.failure(errExit))
			golden := strings.TrimSuffix(file, ".ndjson") + ".want"
			if *update {
				write(t, golden, got.String(), 0o644)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("differs from %s:\n%s", golden, diff)
			}

			slow := newProgress(Options{})
			slow.read(iotest.OneByteReader(bytes.NewReader(text)))
			if got, want := slow.failure(errExit).Error(), p.failure(errExit).Error(); got != want {
				t.Errorf("read byte by byte it fails with\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestRecordedErrors says by hand what a user has to be told, which no rewriting
// of golden files may lose.
func TestRecordedErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		file     string
		want     []string
		unwanted []string
	}{
		"a failing RUN is named, with the end of its log": {"fail",
			[]string{`[bad 2/2] RUN ["/tool", "fail", "3"]`, "exit code: 3", "\n  | line 6\n", "\n  | line 25\n  | no newline at the end"},
			[]string{"line 5\n", "sleeping", "canceled", "fsverity"}},
		"a COPY of what is not there names it": {"nofile",
			[]string{"[1/1] COPY nosuchfile /", `"/nosuchfile": not found`}, []string{"fsverity"}},
		"a mistyped instruction has no step: the client's words are told": {"syntax",
			[]string{"buildctl: exit status 1: ", "dockerfile parse error on line 2: unknown instruction: COPPY (did you mean COPY?)"}, []string{"fsverity", "vertexes"}},
		"an unknown target is told": {"target",
			[]string{`target stage "nosuch" could not be found`}, []string{"fsverity"}},
		"of two steps that fail at once the first is named": {"engine-fail",
			[]string{`[slow 2/2] RUN ["/tool", "sleep", "20"]: executor failed running`}, []string{"[bad 2/2]"}},
		"an exporter that the engine lacks is told": {"engine-refuses",
			[]string{"OCI exporter is not supported for the docker driver"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/rawjson/" + tc.file + ".ndjson")
			if err != nil {
				t.Fatal(err)
			}
			for range 20 { // steps are a map: its order must not show
				p, _ := replay(text)
				got := p.failure(errExit).Error()
				for _, part := range tc.want {
					if !strings.Contains(got, part) {
						t.Fatalf("the error lacks %q:\n%s", part, got)
					}
				}
				for _, part := range tc.unwanted {
					if strings.Contains(got, part) {
						t.Fatalf("the error holds %q:\n%s", part, got)
					}
				}
			}
		})
	}
}

func TestLines(t *testing.T) {
	const a = `{"vertexes":[{"digest":"a","name":"one","started":"2026-01-01T00:00:00Z"%s}]}` + "\n"
	started, done := fmt.Sprintf(a, ""), fmt.Sprintf(a, `,"completed":"2026-01-01T00:00:01.26Z"`)
	failed := fmt.Sprintf(a, `,"completed":"2026-01-01T00:00:01Z","error":"exit code: 1"`)
	for name, tc := range map[string]struct {
		text   string
		events string // kind percent object message
		fails  string
	}{
		"nothing at all":                                {"", "", "buildctl: exit status 1"},
		"empty lines":                                   {"\n\n  \n", "", "buildctl: exit status 1"},
		"a step that begins and ends":                   {started + done, "progress 0 one running,progress 100 one done in 1.3s", "buildctl: exit status 1"},
		"the same news twice is told once":              {started + started + done + done, "progress 0 one running,progress 100 one done in 1.3s", "buildctl: exit status 1"},
		"a step that is only known is not told":         {`{"vertexes":[{"digest":"a","name":"one"}]}`, "", "buildctl: exit status 1"},
		"half of two steps is fifty per cent":           {`{"vertexes":[{"digest":"b","name":"two"}]}` + "\n" + done, "progress 50 one done in 1.3s", "buildctl: exit status 1"},
		"a step from the cache":                         {fmt.Sprintf(a, `,"completed":"2026-01-01T00:00:01Z","cached":true`), "progress 100 one from the cache", "buildctl: exit status 1"},
		"a cached step stays cached":                    {fmt.Sprintf(a, `,"cached":true`) + done, "progress 0 one from the cache,progress 100 one from the cache", "buildctl: exit status 1"},
		"a step that fails":                             {failed, "progress 100 one failed", "one: exit code: 1"},
		"a cancelled step does not explain a failure":   {fmt.Sprintf(a, `,"error":"exit code: 137: context canceled"`) + "error: gone\n", "progress 0 one failed", "buildctl: exit status 1: error: gone"},
		"a failed step outweighs the client's words":    {failed + "error: failed to solve\n", "progress 100 one failed", "one: exit code: 1"},
		"JSON that is no object counts as words":        {"null\n", "", "buildctl: exit status 1: null"},
		"a broken line of JSON counts as words":         {`{"vertexes":[{` + "\n", "", `buildctl: exit status 1: {"vertexes":[{`},
		"JSON of another shape counts as words":         {`{"vertexes":"x"}` + "\n", "", `buildctl: exit status 1: {"vertexes":"x"}`},
		"words without a newline at the end":            {"error: no such host", "", "buildctl: exit status 1: error: no such host"},
		"a client's own warning is no cause":            {"time=\"x\" level=warning msg=\"failed check\"\nerror: y\n", "", "buildctl: exit status 1: error: y"},
		"a client's own error is one":                   {"time=\"x\" level=error msg=\"failed\"\n", "", `buildctl: exit status 1: time="x" level=error msg="failed"`},
		"log lines lose a carriage return":              {started + `{"logs":[{"vertex":"a","data":"eA0KeQ0K"}]}`, "progress 0 one running,log 0 one x,log 0 one y", "buildctl: exit status 1"},
		"half a log line waits for the other":           {started + `{"logs":[{"vertex":"a","data":"eA=="}]}` + "\n" + `{"logs":[{"vertex":"a","data":"eQo="}]}`, "progress 0 one running,log 0 one xy", "buildctl: exit status 1"},
		"a log of a step that nobody announced":         {`{"logs":[{"vertex":"z","data":"eAo="}]}`, "log 0  x", "buildctl: exit status 1"},
		"a warning about the Dockerfile":                {`{"warnings":[{"short":"eA=="}]}`, "warn 0  x", "buildctl: exit status 1"},
		"a log that is no base64 counts as words":       {`{"logs":[{"vertex":"z","data":"*"}]}`, "", `buildctl: exit status 1: {"logs":[{"vertex":"z","data":"*"}]}`},
		"a line longer than the reader's buffer":        {`{"vertexes":[{"digest":"a","name":"` + strings.Repeat("x", 1<<17) + `"}]}` + "\nend", "", "buildctl: exit status 1: end"},
		"of many words only the newest twenty are kept": {strings.Repeat("old\n", 30) + strings.Repeat("new\n", 20), "", "buildctl: exit status 1: new" + strings.Repeat("; new", 19)},
	} {
		t.Run(name, func(t *testing.T) {
			p, seen := replay([]byte(tc.text))
			var events []string
			for _, e := range seen.events {
				events = append(events, fmt.Sprintf("%s %d %s %s", e.Kind, e.Percent, e.Object, e.Message))
			}
			if got := strings.Join(events, ","); got != tc.events {
				t.Errorf("events %s, want %s", got, tc.events)
			}
			if got := p.failure(errExit).Error(); got != tc.fails {
				t.Errorf("fails with %s, want %s", got, tc.fails)
			}
		})
	}
}

// TestFailureKeepsItsCause: a caller may ask what kind of error it is.
func TestFailureKeepsItsCause(t *testing.T) {
	p, _ := replay([]byte("words\n"))
	if err := p.failure(errExit); !errors.Is(err, errExit) {
		t.Errorf("%v does not wrap its cause", err)
	}
}

// TestLogChunks: how BuildKit cuts a step's output has no say in the lines.
func TestLogChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching(`[a-z ]{0,8}`), 1, 30).Draw(t, "lines")
		text := strings.Join(lines, "\n") + "\n"
		seen := &recorder{}
		p := newProgress(Options{Observe: seen.observe})
		for len(text) > 0 {
			n := rapid.IntRange(1, len(text)).Draw(t, "n")
			p.log(p.step("a"), []byte(text[:n]))
			text = text[n:]
		}
		var got []string
		for _, e := range seen.events {
			got = append(got, e.Message)
		}
		if diff := cmp.Diff(lines, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(lines[max(0, len(lines)-maxLogs):], p.step("a").logs); diff != "" {
			t.Errorf("kept for an error: %s", diff)
		}
	})
}

// FuzzRead: nothing that a client writes makes us stumble, and no word of it
// that is not BuildKit's JSON gets lost on the way to an error.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/rawjson/*.ndjson")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"vertexes":[{"started":"2026-01-01T00:00:00Z","completed":"1026-01-01T00:00:00Z","error":"x"}]}`))
	f.Add([]byte("{\x00}\n}{\nnull\n[]\n\"\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, seen := replay(text)
		done := 0
		for _, e := range seen.events {
			if e.Percent < 0 || e.Percent > 100 || e.Kind == event.Progress && e.Message == "" {
				t.Errorf("event %+v", e)
			}
		}
		for _, s := range p.steps {
			if !s.end.IsZero() {
				done++
			}
			if len(s.logs) > maxLogs || bytes.Contains(s.partial, []byte("\n")) {
				t.Errorf("step %+v", s)
			}
		}
		if len(p.steps) > 0 && p.percent() != 100*done/len(p.steps) {
			t.Errorf("%d%% with %d of %d steps done", p.percent(), done, len(p.steps))
		}
		if p.cached() > len(p.steps) || len(p.text) > maxLogs {
			t.Errorf("%d of %d steps cached, %d lines of words", p.cached(), len(p.steps), len(p.text))
		}
		if p.failure(errExit) == nil {
			t.Error("a failure without an error")
		}
		lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		last := bytes.TrimSpace(lines[len(lines)-1])
		if len(last) > 0 && last[0] != '{' && !bytes.HasPrefix(last, []byte("time=")) && (len(p.text) == 0 || p.text[len(p.text)-1] != string(last)) {
			t.Errorf("the last line %q got lost", last)
		}
	})
}
