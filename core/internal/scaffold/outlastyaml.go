// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/outlast-ci/outlast/core/drain"
	"github.com/outlast-ci/outlast/core/internal/config"
	"github.com/outlast-ci/outlast/core/render"
)

// outlastYAML writes outlast.yaml for a CI.
func (p *project) outlastYAML(host string) (string, error) {
	role := p.RoleARN
	if host == "github" { // there the job has the role already
		role = ""
	}
	if p.Region == "" {
		p.miss("the AWS region: region in outlast.yaml, AWS_REGION%s, or outlast init --region", githubVariable(host, "AWS_REGION"))
	}
	if p.Cluster == "" {
		p.miss("the EKS cluster: clusterName in outlast.yaml (below an environment when each has its own), or outlast init --cluster-name; until then the kubeconfig counts")
	}
	if p.RoleARN == "" {
		p.miss("the AWS role of the job: %s or outlast init --role-arn", map[bool]string{true: "the repository's variable AWS_ROLE_ARN", false: "credentials in the CI's variables, roleArn in outlast.yaml"}[host == "github"])
	}
	p.miss("the longest request to protect: drain.longestRequest in outlast.yaml (30s is outlast's default, not a measurement); and whether the application finishes requests after SIGTERM: drain.onSigterm: graceful")
	var images, environments strings.Builder
	for _, img := range p.images {
		text, err := fill("image.yaml", map[string]string{"name": quote(img.Name), "repository": quote(img.Repository), "context": quote(img.Context), "dockerfile": quote(img.Dockerfile)})
		if err != nil {
			return "", err
		}
		images.WriteString(text)
	}
	for _, e := range p.environments {
		text, err := fill("environment.yaml", map[string]string{"name": quote(e.Name), "branch": quote(e.Branch), "manifests": quote(e.Manifests)})
		if err != nil {
			return "", err
		}
		environments.WriteString(text)
	}
	return fill("outlast.yaml", map[string]string{
		"app": quote(p.App), "region": quote(p.Region), "cluster": quote(p.Cluster), "role": quote(role),
		"images": strings.TrimSuffix(images.String(), "\n"), "environments": strings.TrimSuffix(environments.String(), "\n"),
	})
}

func githubVariable(host, name string) string {
	if host == "github" {
		return ", the repository's variable " + name
	}
	return ""
}

// try does with the new outlast.yaml what outlast render will do.
func (p *project) try(ctx context.Context, text string) error {
	f, err := config.Parse("outlast.yaml", []byte(text), p.Scalars)
	if err != nil {
		return fmt.Errorf("checking what would be written: %w", err)
	}
	var pins []render.Image
	for _, img := range f.Images {
		pins = append(pins, render.Image{Name: img.Name, Ref: img.Repository + "@sha256:" + strings.Repeat("0", 64)})
	}
	for _, e := range p.environments {
		got, err := f.Named(e.Name)
		if err != nil {
			return fmt.Errorf("checking what would be written: %w", err)
		}
		if _, err := render.Render(ctx, render.Options{Path: filepath.Join(p.dir, filepath.FromSlash(got.Values["manifests"])), Root: p.Top, Images: pins, Policy: render.Fix, Drain: drain.Defaults()}); err != nil {
			return &RenderError{e.Name, err}
		}
		if e.Branch == "" {
			continue
		}
		if on, err := f.ForBranch(e.Branch); err != nil || on.Name != e.Name {
			return fmt.Errorf("checking what would be written: branch %s deploys to %q instead of %s: %w", e.Branch, on.Name, e.Name, err)
		}
	}
	return nil
}
