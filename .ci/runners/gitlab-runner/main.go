// SPDX-License-Identifier: Apache-2.0

// Command gitlab-runner is GitLab's own runner with one executor, the shell:
// its packages under a main that leaves out what needs a cloud.
package main

import (
	"fmt"
	"os"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli"
	"gitlab.com/gitlab-org/gitlab-runner/commands"
	"gitlab.com/gitlab-org/gitlab-runner/commands/helpers"
	"gitlab.com/gitlab-org/gitlab-runner/common"
	"gitlab.com/gitlab-org/gitlab-runner/executors"
	"gitlab.com/gitlab-org/gitlab-runner/executors/shell"
	"gitlab.com/gitlab-org/gitlab-runner/log"
	"gitlab.com/gitlab-org/gitlab-runner/network"
	_ "gitlab.com/gitlab-org/gitlab-runner/shells" // bash
)

func main() {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gitlab-runner:", err)
		os.Exit(1)
	}
	providers := executors.NewProviderRegistry(map[string]common.ExecutorProvider{"shell": shell.NewProvider(self)})
	requests := network.NewAPIRequestsCollector()
	client := network.NewGitLabClient(network.WithAPIRequestsCollector(requests),
		network.WithCertificateDirectory(commands.GetDefaultCertificateDirectory()), network.WithExecutorProviderFunc(providers.GetByName))
	app := cli.NewApp()
	app.Name, app.Version = "gitlab-runner", common.AppVersion.ShortLine()
	app.Commands = []cli.Command{
		commands.NewRunSingleCommand(client, providers),
		helpers.NewArtifactsDownloaderCommand(), helpers.NewArtifactsUploaderCommand(), // which a job's script calls
		helpers.NewCacheArchiverCommand(), helpers.NewCacheExtractorCommand(), helpers.NewCacheInitCommand(),
	}
	log.ConfigureLogging(app)
	if err := app.Run(os.Args); err != nil {
		logrus.Fatal(err)
	}
}
