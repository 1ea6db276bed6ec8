// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
)

// Source is all that a kustomization reads.
type Source struct {
	*Root
	Top  *Dir
	Dirs []*Dir // each folder once, those that another one needs before it
	// Deprecated is what kustomize says of fields that it will not know for ever,
	// with file and line.
	Deprecated []string
	// Plugins: there are generators, transformers or validators, whose
	// configurations may name any file.
	Plugins bool
}

// Dir is the folder of one kustomization.
type Dir struct {
	Path       string // relative to the root
	File       *File  // its kustomization file
	Spec       types.Kustomization
	Resources  []Ref            // as Spec.Resources
	Components []*Dir           // as Spec.Components
	Loads      map[string]*File // what its other paths name: patches, the files of generators

	visits int
	plugin bool // its resources are the configurations of generators and transformers
}

// Ref is what an entry of resources names: one of the two.
type Ref struct {
	File *File
	Dir  *Dir
}

// maxVisits bounds how often folders are accumulated: each level may name the
// next one twice.
const maxVisits = 20_000

// Walk reads the kustomization of a folder and all that it names. Errors start
// with file and line where there is one.
func (r *Root) Walk(dir string) (*Source, error) {
	w := &walker{Root: r, dirs: map[string]*Dir{}, src: &Source{Root: r}}
	top, err := w.dir(dir, false)
	if err != nil {
		return nil, err
	}
	w.src.Top = top
	return w.src, nil
}

type walker struct {
	*Root
	src  *Source
	dirs map[string]*Dir // nil: not read to its end
}

// KustomizationIn gives the path of a folder's kustomization file, or "".
func (r *Root) KustomizationIn(dir string) (string, error) {
	found := ""
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		p, isDir, err := r.Follow(path.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && isDir:
			continue
		case err != nil:
			return "", err
		case found != "":
			return "", r.refuse("%s holds both %s and %s; leave one", dir, path.Base(found), name)
		}
		found = p
	}
	return found, nil
}

func (w *walker) dir(at string, plugin bool) (*Dir, error) {
	if d, ok := w.dirs[at]; ok {
		switch {
		case d == nil:
			return nil, w.refuse("%s names itself, by way of other folders", at)
		case plugin && !d.plugin:
			return nil, w.refuse("%s holds both resources and the configuration of a generator or transformer; use two folders", at)
		}
		return d, nil
	}
	w.dirs[at] = nil
	name, err := w.KustomizationIn(at)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, w.refuse("%s holds no kustomization.yaml", at)
	}
	file, err := w.Read(name, true)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: at, File: file, Loads: map[string]*File{}, visits: 1, plugin: plugin}
	if err := d.Spec.Unmarshal(file.Text); err != nil {
		return nil, d.invalid(w, err)
	}
	w.deprecated(d)
	d.Spec.FixKustomization()
	for _, step := range []func(*Dir) error{w.forbidden, w.resources, w.files, w.patches, w.generators, w.plugins} {
		if err := step(d); err != nil {
			return nil, err
		}
	}
	if d.visits > maxVisits {
		return nil, d.fail(w, "resources", "", "its folders name one another more than %d times", maxVisits)
	}
	w.dirs[at] = d
	w.src.Dirs = append(w.src.Dirs, d)
	return d, nil
}

// field finds the name of the field in kustomize's warning.
var field = regexp.MustCompile(`^# Warning: '([^']*)'`)

func (w *walker) deprecated(d *Dir) {
	for _, text := range *d.Spec.CheckDeprecatedFields() {
		name := ""
		if m := field.FindStringSubmatch(text); m != nil {
			name = m[1]
		}
		w.src.Deprecated = append(w.src.Deprecated, fmt.Sprintf("%s:%d: %s", d.File.Path, d.line(name, ""), strings.TrimPrefix(text, "# Warning: ")))
	}
}

// forbidden refuses what would fetch or run something.
func (w *walker) forbidden(d *Dir) error {
	const charts = "charts would be fetched; render them before and name the result as a resource"
	switch k := d.Spec; {
	case len(k.HelmCharts) > 0, k.HelmGlobals != nil:
		for _, field := range []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"} {
			if d.has(field) {
				return d.fail(w, field, "", "%s is not rendered: %s", field, charts)
			}
		}
		return d.fail(w, "", "", "%s", charts)
	case d.plugin:
		bare := types.Kustomization{TypeMeta: k.TypeMeta, MetaData: k.MetaData, Resources: k.Resources}
		if !reflect.DeepEqual(k, bare) {
			return d.fail(w, "", "", "the folder of a generator or transformer may have resources only, so that nothing is fetched or run")
		}
	}
	return nil
}

func (w *walker) resources(d *Dir) error {
	for _, name := range d.Spec.Resources {
		p, isDir, err := w.local(d, "resources", name, true)
		if err != nil {
			return err
		}
		var ref Ref
		if isDir {
			if ref.Dir, err = w.dir(p, d.plugin); err == nil {
				d.visits += ref.Dir.visits
			}
		} else if ref.File, err = w.Read(p, true); err == nil && d.plugin {
			err = w.pluginConfig(d, "resources", ref.File.Path, ref.File.Text)
		}
		if err != nil {
			return err
		}
		d.Resources = append(d.Resources, ref)
	}
	for _, name := range d.Spec.Components {
		p, isDir, err := w.local(d, "components", name, true)
		if err != nil {
			return err
		}
		if !isDir {
			return d.fail(w, "components", name, "components names %q, which is no folder", name)
		}
		c, err := w.dir(p, d.plugin)
		if err != nil {
			return err
		}
		d.visits += c.visits
		d.Components = append(d.Components, c)
	}
	return nil
}

// local follows a path of a kustomization; mayDir: kustomize would take it for
// the address of a git repository, too.
func (w *walker) local(d *Dir, field, name string, mayDir bool) (p string, isDir bool, err error) {
	if remote(name) || mayDir && repository(name) {
		return "", false, d.fail(w, field, name, "%s names %q: rendering fetches nothing; keep a copy in the repository", field, name)
	}
	rel := name
	if !strings.HasPrefix(filepath.ToSlash(name), "/") {
		rel = path.Join(d.Path, filepath.ToSlash(name))
	} else if rel, err = w.Rel(name); err != nil {
		return "", false, d.fail(w, field, name, "%s names %q: %w", field, name, err)
	}
	p, isDir, err = w.Follow(rel)
	switch {
	case w.Refused != nil:
		return "", false, d.fail(w, field, name, "%s: %w", field, w.Refused)
	case errors.Is(err, fs.ErrNotExist):
		return "", false, d.fail(w, field, name, "%s names %q, which does not exist", field, name)
	case err != nil:
		return "", false, d.fail(w, field, name, "%s names %q: %w", field, name, err)
	}
	return p, isDir, nil
}

// load reads a file that a kustomization names.
func (w *walker) load(d *Dir, field, name string, check bool) error {
	p, isDir, err := w.local(d, field, name, false)
	if err != nil {
		return err
	}
	if isDir {
		return d.fail(w, field, name, "%s names %q, which is a folder", field, name)
	}
	f, err := w.Read(p, check)
	if err != nil {
		return err
	}
	d.Loads[name] = f
	return nil
}

// places are where the errors of a kustomization's decoders point to.
var places = regexp.MustCompile(`unknown field "([^"]*)"|yaml: line (\d+)`)

// invalid words what kustomize's decoder says.
func (d *Dir) invalid(w *walker, err error) error {
	line := 1
	if m := places.FindStringSubmatch(err.Error()); m != nil {
		if line, _ = strconv.Atoi(m[2]); line == 0 {
			line = d.line(m[1], "")
		}
	}
	w.Refused = fmt.Errorf("%s:%d: %w", d.File.Path, line, err)
	return w.Refused
}

// fail words an error with the line of the value, or of the field's key.
func (d *Dir) fail(w *walker, field, value, format string, args ...any) error {
	err := fmt.Errorf("%s:%d: %w", d.File.Path, d.line(field, value), fmt.Errorf(format, args...))
	w.Refused = err
	return err
}
