# SPDX-License-Identifier: Apache-2.0
#
# A CodeBuild project that deploys with Outlast, with a role that may do no more
# than that. Partition and region come from the provider, so that it works in
# China as it is.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.40" }
  }
}

variable "name" { type = string }         # of the application, its ECR repository and the project
variable "cluster" { type = string }      # EKS cluster
variable "namespace" { type = string }    # in the cluster
variable "source_location" { type = string }
variable "source_type" {
  type    = string
  default = "GITHUB" # CODEPIPELINE in a pipeline
}
variable "image" {
  type        = string
  description = "Image with outlast, e.g. the one of our Dockerfile in your ECR"
}

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_ecr_repository" "app" { name = var.name }
data "aws_eks_cluster" "app" { name = var.cluster }

locals {
  logs = "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:log-group:/aws/codebuild/${var.name}"
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["codebuild.amazonaws.com"] # the same in every partition
    }
  }
}

data "aws_iam_policy_document" "deploy" {
  statement {
    actions   = ["ecr:GetAuthorizationToken", "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth"]
    resources = ["*"]
  }
  statement {
    actions = ["ecr:DescribeRepositories", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"]
    resources = [data.aws_ecr_repository.app.arn]
  }
  statement {
    actions   = ["eks:DescribeCluster"]
    resources = [data.aws_eks_cluster.app.arn]
  }
  statement {
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [local.logs, "${local.logs}:*"]
  }
  statement {
    actions   = ["codebuild:CreateReportGroup", "codebuild:CreateReport", "codebuild:UpdateReport", "codebuild:BatchPutTestCases"]
    resources = ["arn:${data.aws_partition.current.partition}:codebuild:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:report-group/${var.name}-*"]
  }
}

resource "aws_iam_role" "deploy" {
  name               = "${var.name}-deploy"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "deploy" {
  role   = aws_iam_role.deploy.id
  policy = data.aws_iam_policy_document.deploy.json
}

# Whom the cluster takes the role for; bind the group outlast-deployers to a Role of the namespace.
resource "aws_eks_access_entry" "deploy" {
  cluster_name      = var.cluster
  principal_arn     = aws_iam_role.deploy.arn
  kubernetes_groups = ["outlast-deployers"]
}

resource "aws_codebuild_project" "deploy" {
  name          = var.name
  service_role  = aws_iam_role.deploy.arn
  build_timeout = 60

  source {
    type      = var.source_type
    location  = var.source_type == "CODEPIPELINE" ? null : var.source_location
    buildspec = "codebuild/buildspec.yml"
  }
  artifacts { type = var.source_type == "CODEPIPELINE" ? "CODEPIPELINE" : "NO_ARTIFACTS" }
  environment {
    compute_type                = "BUILD_GENERAL1_SMALL"
    type                        = "LINUX_CONTAINER"
    image                       = var.image
    image_pull_credentials_type = "SERVICE_ROLE"
    privileged_mode             = true # for builds without a daemon, or with Docker
    environment_variable {
      name  = "OUTLAST_CLUSTER_NAME"
      value = var.cluster
    }
  }
}
