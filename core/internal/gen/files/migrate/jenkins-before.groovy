pipeline {
  agent any
  stages {
    stage('deploy') {
      steps {
        withCredentials([aws(credentialsId: 'deployer')]) {
          sh '''
            eval "$(./setup_env.sh "$BRANCH_NAME")"
            aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"
            docker build -t "$REGISTRY/web:$GIT_COMMIT" . && docker push "$REGISTRY/web:$GIT_COMMIT"
            aws eks update-kubeconfig --name "$CLUSTER"
            sed "s|IMAGE|$REGISTRY/web:$GIT_COMMIT|" k8s/web.yaml | kubectl apply -f -
            kubectl rollout status deployment/web
          '''
        }
      }
    }
  }
}
