// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// built are the steps that need nothing but their keys; true: they run after a
// failure, too.
var built = map[string]struct {
	keys   []string
	always bool
}{
	"checkout":             {keys: []string{"path", "method"}},
	"setup_remote_docker":  {keys: []string{"version", "docker_layer_caching"}},
	"save_cache":           {keys: []string{"paths", "key", "name", "when"}},
	"restore_cache":        {keys: []string{"key", "keys", "name"}},
	"persist_to_workspace": {keys: []string{"root", "paths"}},
	"attach_workspace":     {keys: []string{"at"}},
	"add_ssh_keys":         {keys: []string{"fingerprints"}},
	"store_artifacts":      {keys: []string{"path", "destination"}, always: true},
	"store_test_results":   {keys: []string{"path"}, always: true},
}

func (j *job) builtIn(name string, args object) error {
	fmt.Fprintf(j.Out, "[circleci] %s\n", name)
	switch name {
	case "store_test_results", "store_artifacts":
		path := word(args["path"])
		if path == "" {
			return fmt.Errorf("%s: path is missing", name)
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(j.dir, path)
		}
		if _, err := os.Stat(path); err != nil {
			fmt.Fprintf(j.Out, "[circleci] %s: there is no %s\n", name, word(args["path"]))
			return nil
		}
		j.Stored = append(j.Stored, name+" "+word(args["path"]))
	case "persist_to_workspace", "attach_workspace":
		return j.workspace(name, args)
	}
	return nil
}

// workspace copies files to and from the one folder that all jobs share.
func (j *job) workspace(name string, args object) error {
	shared := filepath.Join(j.Work, "workspace")
	if err := os.MkdirAll(shared, 0o755); err != nil {
		return err
	}
	if name == "attach_workspace" {
		at := filepath.Join(j.dir, word(args["at"]))
		if filepath.IsAbs(word(args["at"])) {
			at = word(args["at"])
		}
		return j.copy(shared+"/.", at)
	}
	paths, err := asList(args["paths"], name+".paths")
	if err != nil {
		return err
	}
	for _, p := range paths {
		from := filepath.Join(j.dir, word(args["root"]), word(p))
		if filepath.IsAbs(word(args["root"])) {
			from = filepath.Join(word(args["root"]), word(p))
		}
		if found, err := filepath.Glob(from); err != nil || len(found) == 0 {
			return fmt.Errorf("persist_to_workspace: %s matches nothing", p)
		}
		if err := j.copy(from, shared); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) copy(from, to string) error {
	out, err := exec.Command("sh", "-c", `mkdir -p "$2" && cp -R $1 "$2/"`, "sh", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copying %s: %s", from, out)
	}
	return nil
}
