// SPDX-License-Identifier: Apache-2.0

package ecr

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/outlast-ci/outlast/lab/internal/cloud/region"
	"github.com/outlast-ci/outlast/lab/internal/cloud/wire"
)

// API is ECR's API in front of a registry.
type API struct {
	Tokens Tokens
	// Endpoint is the registry's URL; its host is that of repository URIs.
	Endpoint string
	Images   *Registry
}

// request holds the parameters of all operations.
type request struct {
	RepositoryName     string   `json:"repositoryName"`
	RepositoryNames    []string `json:"repositoryNames"`
	RegistryID         string   `json:"registryId"`
	ImageTagMutability string   `json:"imageTagMutability"`
	ImageIDs           []ID     `json:"imageIds"`
	NextToken          string   `json:"nextToken"`
	MaxResults         int      `json:"maxResults"`
}

// ID names an image by digest, tag or both.
type ID struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
}

type repository struct {
	ARN        string            `json:"repositoryArn"`
	RegistryID string            `json:"registryId"`
	Name       string            `json:"repositoryName"`
	URI        string            `json:"repositoryUri"`
	Created    float64           `json:"createdAt"`
	Mutability string            `json:"imageTagMutability"`
	Scanning   map[string]bool   `json:"imageScanningConfiguration"`
	Encryption map[string]string `json:"encryptionConfiguration"`
}

type image struct {
	RegistryID string   `json:"registryId"`
	Name       string   `json:"repositoryName"`
	Digest     string   `json:"imageDigest"`
	Tags       []string `json:"imageTags,omitempty"`
	Size       int64    `json:"imageSizeInBytes"`
	Pushed     float64  `json:"imagePushedAt"`
	MediaType  string   `json:"imageManifestMediaType"`
}

// Answer runs one operation; ok is false when the lab does not have it.
func (a API) Answer(r *Region, c wire.Call, body []byte) (out any, ok bool, err error) {
	var in request
	if err := json.Unmarshal(body, &in); err != nil && len(body) > 0 {
		return nil, true, wire.Errorf("SerializationException", "%v", err)
	}
	if in.RegistryID != "" && in.RegistryID != c.Account {
		return nil, true, wire.Errorf("RepositoryNotFoundException", "The repository with name '%s' does not exist in the registry with id '%s'", in.RepositoryName, in.RegistryID)
	}
	ops := map[string]func(*Region, wire.Call, request) (any, error){
		"GetAuthorizationToken": a.getAuthorizationToken,
		"DescribeRepositories":  a.describeRepositories,
		"CreateRepository":      a.createRepository,
		"PutImageTagMutability": a.putImageTagMutability,
		"DescribeImages":        a.describeImages,
		"BatchGetImage":         a.batchGetImage,
	}
	f, ok := ops[c.Operation]
	if !ok {
		return nil, false, nil
	}
	out, err = f(r, c, in)
	return out, true, err
}

func (a API) getAuthorizationToken(_ *Region, c wire.Call, _ request) (any, error) {
	token, expires := a.Tokens.New(c.Region, c.Caller.ARN)
	return map[string]any{"authorizationData": []any{map[string]any{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + token)),
		"expiresAt":          seconds(expires), "proxyEndpoint": a.Endpoint,
	}}}, nil
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func notFound(name, account string) error {
	return wire.Errorf("RepositoryNotFoundException", "%s", missingText(name, account))
}

func missingText(name, account string) string {
	return "The repository with name '" + name + "' does not exist in the registry with id '" + account + "'"
}

func (a API) shown(c wire.Call, r *Repository) repository {
	host := a.Endpoint
	if u, err := url.Parse(a.Endpoint); err == nil {
		host = u.Host
	}
	m := "MUTABLE"
	if r.Immutable {
		m = "IMMUTABLE"
	}
	return repository{
		ARN: region.ARN("ecr", c.Region, c.Account, "repository/"+r.Name), RegistryID: c.Account, Name: r.Name, URI: host + "/" + r.Name,
		Created: seconds(r.Created), Mutability: m, Scanning: map[string]bool{"scanOnPush": false}, Encryption: map[string]string{"encryptionType": "AES256"},
	}
}

func (a API) describeRepositories(r *Region, c wire.Call, in request) (any, error) {
	names := in.RepositoryNames
	if len(names) > 0 && (in.MaxResults > 0 || in.NextToken != "") {
		return nil, wire.Errorf("InvalidParameterException", "Invalid parameter at 'maxResults' or 'nextToken' failed to satisfy constraint: 'must not be given with repositoryNames'")
	}
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(r.Repositories))
	}
	out := map[string]any{}
	list := []repository{}
	limit := 100
	if in.MaxResults > 0 {
		limit = in.MaxResults
	}
	for _, n := range names {
		repo := r.Repositories[n]
		switch {
		case repo == nil:
			return nil, notFound(n, c.Account)
		case in.NextToken != "" && n <= in.NextToken:
			continue
		case len(list) == limit:
			out["nextToken"] = list[limit-1].Name
		}
		if out["nextToken"] != nil {
			break
		}
		list = append(list, a.shown(c, repo))
	}
	out["repositories"] = list
	return out, nil
}

func (a API) createRepository(r *Region, c wire.Call, in request) (any, error) {
	if in.ImageTagMutability != "" && in.ImageTagMutability != "MUTABLE" && in.ImageTagMutability != "IMMUTABLE" {
		return nil, wire.Errorf("InvalidParameterException", "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: [IMMUTABLE, MUTABLE]'")
	}
	if err := r.Create(in.RepositoryName, in.ImageTagMutability == "IMMUTABLE", c); err != nil {
		return nil, err
	}
	return map[string]any{"repository": a.shown(c, r.Repositories[in.RepositoryName])}, nil
}

// Create makes a repository.
func (r *Region) Create(name string, immutable bool, c wire.Call) error {
	if ok, _ := regexp.MatchString(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`, name); !ok || len(name) < 2 || len(name) > 256 {
		return wire.Errorf("InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''")
	}
	if r.Repositories[name] != nil {
		return wire.Errorf("RepositoryAlreadyExistsException", "The repository with name '%s' already exists in the registry with id '%s'", name, c.Account)
	}
	r.Repositories[name] = &Repository{Name: name, Immutable: immutable, Created: c.Now.UTC(), Pushed: map[string]time.Time{}}
	return nil
}

func (a API) putImageTagMutability(r *Region, c wire.Call, in request) (any, error) {
	repo := r.Repositories[in.RepositoryName]
	if repo == nil {
		return nil, notFound(in.RepositoryName, c.Account)
	}
	switch in.ImageTagMutability {
	case "MUTABLE", "IMMUTABLE":
		repo.Immutable = in.ImageTagMutability == "IMMUTABLE"
	default:
		return nil, wire.Errorf("InvalidParameterException", "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: [IMMUTABLE, MUTABLE]'")
	}
	return map[string]any{"registryId": c.Account, "repositoryName": repo.Name, "imageTagMutability": in.ImageTagMutability}, nil
}

func (a API) describeImages(r *Region, c wire.Call, in request) (any, error) {
	repo := r.Repositories[in.RepositoryName]
	if repo == nil {
		return nil, notFound(in.RepositoryName, c.Account)
	}
	tags := a.Images.tags(repo.Name)
	ids := in.ImageIDs
	if len(ids) == 0 {
		for _, d := range slices.Sorted(maps.Keys(repo.Pushed)) {
			ids = append(ids, ID{Digest: d})
		}
	}
	details := []image{}
	for _, id := range ids {
		m, ok := a.Images.manifest(repo.Name, id.ref())
		if !ok || id.Digest != "" && id.Digest != m.digest {
			return nil, wire.Errorf("ImageNotFoundException", "The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
				orNull(id.Digest), orNull(id.Tag), repo.Name, c.Account)
		}
		details = append(details, image{RegistryID: c.Account, Name: repo.Name, Digest: m.digest, Tags: tags[m.digest], Size: m.size,
			Pushed: seconds(repo.Pushed[m.digest]), MediaType: m.mediaType})
	}
	return map[string]any{"imageDetails": details}, nil
}

func (i ID) ref() string {
	if i.Tag != "" {
		return i.Tag
	}
	return i.Digest
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

func (a API) batchGetImage(r *Region, c wire.Call, in request) (any, error) {
	repo := r.Repositories[in.RepositoryName]
	if repo == nil {
		return nil, notFound(in.RepositoryName, c.Account)
	}
	images, failures := []any{}, []any{}
	for _, id := range in.ImageIDs {
		m, ok := a.Images.manifest(repo.Name, id.ref())
		if !ok {
			failures = append(failures, map[string]any{"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"})
			continue
		}
		images = append(images, map[string]any{"registryId": c.Account, "repositoryName": repo.Name, "imageId": ID{Digest: m.digest, Tag: id.Tag},
			"imageManifest": string(m.body), "imageManifestMediaType": m.mediaType})
	}
	return map[string]any{"images": images, "failures": failures}, nil
}
