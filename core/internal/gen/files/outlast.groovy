// {%.Header%}
// Deploys with outlast and waits until every new pod is healthy at the balancer
// and every old one has drained:
//
//     outlast(clusterName: 'web', region: 'cn-northwest-1')
//
// The build fails when the rollout does. Returned is a Map of the outputs
// (OUTLAST_OUT_IMAGE, OUTLAST_OUT_REASON, ...), which are variables of the
// build, too. Inputs reach the program as variables and never as text of a script.
import groovy.transform.Field

@Field private static final Map<String, String> VARIABLES = [
{%range .Inputs%}    {%.Camel%}: '{%.Variable%}',
{%end%}]

def call(Map args = [:]) {
    String problem = unknown(args)
    if (problem) {
        error(problem)
    }
    String folder = outputs(args.outputDir ?: env.OUTLAST_OUTPUT_DIR, args.workingDirectory ?: env.OUTLAST_WORKING_DIRECTORY)
    int code = 1
    Map result = [:]
    try {
        withEnv(variables(args)) {
            code = sh(label: 'outlast deploy', returnStatus: true, script: libraryResource('outlast/run.sh'))
        }
    } finally { // an aborted build leaves sh by an exception
        result = publish(folder)
    }
    if (code != 0) {
        error('outlast ended with exit code ' + code + ' (' + (result['OUTLAST_OUT_REASON'] ?: 'see its output') + ')')
    }
    return result
}

private Map publish(String folder) {
    Map result = [:]
    if (fileExists(folder + '/outputs.env')) {
        result = pairs(readFile(folder + '/outputs.env'))
    }
    List names = new ArrayList(result.keySet())
    for (int i = 0; i < names.size(); i++) {
        env[names[i]] = result[names[i]]
    }
    if (result['OUTLAST_OUT_RESULT']) {
        currentBuild.description = 'outlast: ' + result['OUTLAST_OUT_APP'] + ' to ' + result['OUTLAST_OUT_ENVIRONMENT'] + ' ' + result['OUTLAST_OUT_RESULT']
    }
    if (fileExists(folder + '/report.xml')) {
        junit(testResults: folder + '/report.xml', allowEmptyResults: true)
    }
    archiveArtifacts(artifacts: folder + '/**', allowEmptyArchive: true)
    return result
}

@NonCPS
private static String unknown(Map args) {
    for (Object name : args.keySet()) {
        if (!VARIABLES.containsKey(name.toString())) {
            return 'outlast: unknown argument ' + name + '; known are ' + VARIABLES.keySet().join(', ')
        }
    }
    return ''
}

@NonCPS
private static List<String> variables(Map args) {
    List<String> all = []
    for (Map.Entry<String, String> v : VARIABLES.entrySet()) {
        if (args.containsKey(v.key)) {
            Object value = args[v.key]
            all.add(v.value + '=' + (value instanceof Collection ? value.join('\n') : value == null ? '' : value.toString()))
        }
    }
    return all
}

@NonCPS
private static String outputs(Object outputDir, Object workingDirectory) {
    String folder = outputDir ?: ''
    if (!folder) {
        return '.outlast'
    }
    return workingDirectory && !folder.startsWith('/') ? workingDirectory + '/' + folder : folder
}

@NonCPS
private static Map<String, String> pairs(String text) {
    Map<String, String> all = [:]
    for (String line : text.readLines()) {
        int at = line.indexOf('=')
        if (at > 0) {
            all[line.substring(0, at)] = line.substring(at + 1)
        }
    }
    return all
}
