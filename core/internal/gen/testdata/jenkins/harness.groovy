// Runs vars/outlast.groovy with stand-ins for Jenkins's steps; sh runs a real
// shell. Arguments: the library's folder, the workspace, a JSON file with the
// step's arguments, the file to write what happened to.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer

def (library, workspace, input, result) = args
def seen = [steps: [], env: [:], build: [:], error: null, returned: null]
class Failed extends RuntimeException { Failed(String m) { super(m) } }

def variables = []
def binding = new Binding([
    env: seen.env,
    currentBuild: seen.build,
    error: { String m -> throw new Failed(m) },
    libraryResource: { String name -> new File(library, 'resources/' + name).text },
    withEnv: { List list, Closure body -> variables.addAll(list); seen.steps << 'withEnv'; body() },
    fileExists: { String name -> new File(workspace, name).exists() },
    readFile: { String name -> new File(workspace, name).text },
    junit: { Map m -> seen.steps << 'junit ' + m.testResults },
    archiveArtifacts: { Map m -> seen.steps << 'archive ' + m.artifacts },
    sh: { Map m ->
        seen.steps << 'sh'
        def script = File.createTempFile('durable', '.sh') // as Jenkins does: a file with the script's own #! line
        script.deleteOnExit()
        script.text = m.script
        script.executable = true
        def environment = System.getenv().collect { k, v -> k + '=' + v } + variables
        def process = ['sh', script.path].execute(environment as String[], new File(workspace))
        process.consumeProcessOutput(System.out, System.err)
        process.waitFor()
    },
])
def imports = new ImportCustomizer().addImports('com.cloudbees.groovy.cps.NonCPS')
def shell = new GroovyShell(this.class.classLoader, binding, new CompilerConfiguration().addCompilationCustomizers(imports))
def step = shell.parse(new File(library, 'vars/outlast.groovy'))
try {
    seen.returned = step.call(new JsonSlurper().parse(new File(input)))
} catch (Failed e) {
    seen.error = e.message
}
new File(result).text = JsonOutput.toJson(seen)
