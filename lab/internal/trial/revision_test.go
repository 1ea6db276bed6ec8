// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

func TestARevisionTellsOfChangesThatAreInNoCommit(t *testing.T) {
	dir := t.TempDir()
	if _, err := Revision(t.Context(), dir); err == nil {
		t.Error("a folder without history has a commit")
	}
	write := func(path string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(path), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("core/a.go")
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	for _, step := range []struct{ change, want string }{{"", `^[0-9a-f]{40}$`}, {"docs/table.md", `^[0-9a-f]{40}$`}, {"core/b.go", `^[0-9a-f]{40}\+dirty$`}} {
		if step.change != "" {
			write(step.change)
		}
		if got, err := Revision(t.Context(), dir); err != nil || !regexp.MustCompile(step.want).MatchString(got) {
			t.Errorf("after a change of %q: %q, %v", step.change, got, err)
		}
	}
}
