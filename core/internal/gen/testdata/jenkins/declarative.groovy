// Runs a declarative Jenkinsfile that calls our step: the words of a pipeline
// are strict, the step is harness.groovy's, sh runs a real shell. Arguments: the
// library's folder, the workspace, the Jenkinsfile, the file to write what happened to.
import groovy.json.JsonOutput
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer

class Failed extends RuntimeException { Failed(String m) { super(m) } }

// Words is a section: it knows the words that may stand in it, and no others.
class Words {
    String name
    Map<String, Closure> known
    def invokeMethod(String word, Object args) {
        if (!known.containsKey(word)) {
            throw new Failed(name + ' does not know ' + word + '; it knows ' + known.keySet().sort().join(', '))
        }
        known[word].call(*args)
    }
    def propertyMissing(String word) { word }
    static run(String name, Map<String, Closure> known, Closure body) {
        body.delegate = new Words(name: name, known: known)
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
    }
}

def (library, workspace, jenkinsfile, result) = args
def seen = [steps: [], env: [:], build: [:], error: null, posted: []]
def variables = []
def imports = new ImportCustomizer().addImports('com.cloudbees.groovy.cps.NonCPS')
def shell
def plain = [
    env: seen.env, currentBuild: seen.build,
    error: { String m -> throw new Failed(m) },
    libraryResource: { String name -> new File(library, 'resources/' + name).text },
    withEnv: { List list, Closure body -> variables.addAll(list); body() },
    fileExists: { String name -> new File(workspace, name).exists() },
    readFile: { String name -> new File(workspace, name).text },
    junit: { Map m -> seen.steps << 'junit ' + m.testResults },
    archiveArtifacts: { Map m -> seen.steps << 'archive ' + m.artifacts },
    sh: { Map m ->
        seen.steps << 'sh'
        def script = File.createTempFile('durable', '.sh')
        script.deleteOnExit()
        script.text = m.script
        script.executable = true
        def environment = System.getenv().collect { k, v -> k + '=' + v } + variables
        def process = ['sh', script.path].execute(environment as String[], new File(workspace))
        process.consumeProcessOutput(System.out, System.err)
        process.waitFor()
    },
]
def step = new GroovyShell(this.class.classLoader, new Binding(plain), new CompilerConfiguration().addCompilationCustomizers(imports)).parse(new File(library, 'vars/outlast.groovy'))
def steps
steps = [
    outlast: { Map m = [:] -> seen.steps << 'outlast'; step.call(m) },
    echo: { String m -> seen.steps << 'echo ' + m },
    aws: { Map m -> m },
    withCredentials: { List list, Closure body -> seen.steps << 'withCredentials ' + list*.credentialsId.join(','); Words.run('withCredentials', steps, body) },
]
def sections = [:]
def binding = new Binding([pipeline: { Closure body ->
    Words.run('pipeline', [
        agent: { Object a -> sections.agent = a },
        options: { Closure c -> Words.run('options', [disableConcurrentBuilds: { -> sections.exclusive = true }], c) },
        stages: { Closure c -> sections.stages = c },
        post: { Closure c -> sections.post = c },
    ], body)
    if (!sections.agent || !sections.stages) {
        throw new Failed('pipeline: agent and stages are required')
    }
    Closure onlySteps = { Closure c -> Words.run('stage', [steps: { Closure s -> Words.run('steps', steps, s) }], c) }
    try {
        Words.run('stages', [stage: { Object... of ->
            if (of.size() != 2 || !(of[0] instanceof String)) {
                throw new Failed('stage wants a name')
            }
            seen.steps << 'stage ' + of[0]
            onlySteps(of[1])
        }], sections.stages)
    } catch (Failed e) {
        seen.error = e.message
    }
    if (sections.post) {
        Closure mark = { String when -> { Closure c -> if (when == 'always' || (when == 'failure') == (seen.error != null)) { seen.posted << when; Words.run('post', steps, c) } } }
        Words.run('post', [always: mark('always'), success: mark('success'), failure: mark('failure')], sections.post)
    }
}])
def text = new File(jenkinsfile).text
try {
    def library1 = text =~ /(?m)\A@Library\('outlast@[\w.]+'\) _$/
    if (!library1.find()) {
        throw new Failed('the first line does not load the library')
    }
    new GroovyShell(this.class.classLoader, binding, new CompilerConfiguration()).evaluate(library1.replaceFirst(''))
    if (!sections) {
        throw new Failed('there is no pipeline')
    }
} catch (Failed e) {
    seen.error = e.message
}
new File(result).text = JsonOutput.toJson(seen)
