# SPDX-License-Identifier: Apache-2.0
# A CodeBuild project that deploys one application with outlast, in any
# partition: the role that it needs and no more, its log and its report group.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90, < 7.0"
    }
  }
}

variable "name" {
  description = "Name of the project and, with the prefix outlast-, of what belongs to it."
  type        = string
}

variable "source_location" {
  description = "Address of the repository that CodeBuild clones. Its host must be connected to CodeBuild in this region. Unused in a pipeline."
  type        = string
  default     = null
}

variable "source_type" {
  description = "Kind of that repository: GITHUB, GITHUB_ENTERPRISE, GITLAB, GITLAB_SELF_MANAGED or BITBUCKET; or CODEPIPELINE, which gives the source to the build."
  type        = string
  default     = "GITHUB"
}

variable "artifact_buckets" {
  description = "Buckets of the pipelines that the project is an action of."
  type        = list(string)
  default     = []
}

variable "branches" {
  description = "Branches whose pushes start a build, unless a pipeline does. outlast.yaml says which environment each one deploys to."
  type        = list(string)
}

variable "connection" {
  description = "ARN of the CodeConnections connection by which CodeBuild clones. Unset: the account's own source credential for that host."
  type        = string
  default     = null
}

variable "clusters" {
  description = "EKS clusters of this account to deploy to. The role joins the Kubernetes group outlast in each. Those of other accounts come with deploy_roles."
  type        = list(string)
  default     = []
}

variable "repositories" {
  description = "ECR repositories to push to."
  type        = list(string)
}

variable "image" {
  description = "Build image with outlast on its PATH, for example the one of this project's Dockerfile, in an ECR repository of this account."
  type        = string
}

variable "image_repository" {
  description = "Name of the ECR repository that holds the build image."
  type        = string
}

variable "deploy_roles" {
  description = "Roles of other accounts that outlast.yaml names with roleArn. Empty: the project's own role deploys."
  type        = list(string)
  default     = []
}

data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_service_principal" "codebuild" {
  service_name = "codebuild"
}

locals {
  # Every ARN begins with the partition (aws, aws-cn) and is in this account.
  here     = "${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}"
  arn      = "arn:${data.aws_partition.current.partition}"
  pipeline = var.source_type == "CODEPIPELINE"
}

resource "aws_cloudwatch_log_group" "build" {
  name              = "/aws/codebuild/outlast-${var.name}"
  retention_in_days = 90
}

# Named as CodeBuild names it: the project, then the key below reports in the
# buildspec. So the role needs no right to create groups.
resource "aws_codebuild_report_group" "deploys" {
  name           = "outlast-${var.name}-outlast"
  type           = "TEST"
  delete_reports = true
  export_config {
    type = "NO_EXPORT"
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = [data.aws_service_principal.codebuild.name]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.build.arn}:*"]
  }
  statement {
    sid       = "Report"
    actions   = ["codebuild:BatchPutTestCases", "codebuild:CreateReport", "codebuild:UpdateReport"]
    resources = [aws_codebuild_report_group.deploys.arn]
  }
  statement {
    sid       = "PullTheBuildImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["${local.arn}:ecr:${local.here}:repository/${var.image_repository}"]
  }
  # None of these takes a resource; DescribeAlarms, for gate.alarms, shows composite alarms to who may see all only.
  statement {
    sid       = "LogInAndLook"
    actions   = ["ecr:GetAuthorizationToken", "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth", "elasticloadbalancing:DescribeTargetGroupAttributes", "cloudwatch:DescribeAlarms"]
    resources = ["*"]
  }
  dynamic "statement" {
    for_each = length(var.repositories) > 0 ? [var.repositories] : []
    content {
      sid = "Push"
      actions = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeRepositories",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
      ]
      resources = [for r in statement.value : "${local.arn}:ecr:${local.here}:repository/${r}"]
    }
  }
  dynamic "statement" {
    for_each = length(var.clusters) > 0 ? [var.clusters] : []
    content {
      sid       = "FindTheCluster"
      actions   = ["eks:DescribeCluster"]
      resources = [for c in statement.value : "${local.arn}:eks:${local.here}:cluster/${c}"]
    }
  }
  dynamic "statement" {
    for_each = var.connection != null ? [var.connection] : []
    content {
      sid       = "Clone"
      actions   = ["codeconnections:GetConnection", "codeconnections:GetConnectionToken", "codeconnections:UseConnection"]
      resources = [statement.value]
    }
  }
  dynamic "statement" {
    for_each = length(var.artifact_buckets) > 0 ? [var.artifact_buckets] : []
    content {
      sid       = "PipelineArtifacts"
      actions   = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
      resources = [for b in statement.value : "${local.arn}:s3:::${b}/*"]
    }
  }
  dynamic "statement" {
    for_each = length(var.deploy_roles) > 0 ? [var.deploy_roles] : []
    content {
      sid       = "BecomeRolesOfOtherAccounts"
      actions   = ["sts:AssumeRole"]
      resources = statement.value
    }
  }
}

resource "aws_iam_role" "deploy" {
  name               = "outlast-${var.name}"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "deploy" {
  name   = "deploy"
  role   = aws_iam_role.deploy.id
  policy = data.aws_iam_policy_document.deploy.json
}

# What the role may do inside the clusters is said there: bind the group outlast.
resource "aws_eks_access_entry" "deploy" {
  for_each          = toset(var.clusters)
  cluster_name      = each.value
  principal_arn     = aws_iam_role.deploy.arn
  kubernetes_groups = ["outlast"]
}

resource "aws_codebuild_project" "deploy" {
  name          = "outlast-${var.name}"
  description   = "Deploys ${var.name} with outlast"
  service_role  = aws_iam_role.deploy.arn
  build_timeout = 60
  # Two deploys to one environment must not overlap. CodeBuild refuses a push that
  # comes during a build, and does not queue it: start that build again, or
  # put the project behind a pipeline whose execution mode is QUEUED.
  concurrent_build_limit = 1

  source {
    type      = var.source_type
    location  = local.pipeline ? null : var.source_location
    buildspec = "buildspec.yml"
    dynamic "auth" {
      for_each = var.connection != null && !local.pipeline ? [var.connection] : []
      content {
        type     = "CODECONNECTIONS"
        resource = auth.value
      }
    }
  }

  environment {
    type                        = "LINUX_CONTAINER"
    compute_type                = "BUILD_GENERAL1_SMALL"
    image                       = var.image
    image_pull_credentials_type = "SERVICE_ROLE"
    privileged_mode             = true # builds images
  }

  artifacts {
    type = local.pipeline ? "CODEPIPELINE" : "NO_ARTIFACTS"
  }

  logs_config {
    cloudwatch_logs {
      group_name = aws_cloudwatch_log_group.build.name
    }
  }
}

# Pushes only: a pull request must not run with this role.
resource "aws_codebuild_webhook" "push" {
  count        = local.pipeline ? 0 : 1
  project_name = aws_codebuild_project.deploy.name
  filter_group {
    filter {
      type    = "EVENT"
      pattern = "PUSH"
    }
    filter {
      type    = "HEAD_REF"
      pattern = "^refs/heads/(${join("|", var.branches)})$"
    }
  }
}

output "role_arn" {
  description = "Role of the project, for the trust policies of roles in other accounts."
  value       = aws_iam_role.deploy.arn
}

output "project" {
  description = "Name of the project, for a CodePipeline action. Give the action the variable OUTLAST_BRANCH = #{SourceVariables.BranchName}: a pipeline's source has no branch."
  value       = aws_codebuild_project.deploy.name
}
