# Lines "NAME vVERSION[ (FOLDER or proc-macro)]<tab>LICENCE<tab>REPOSITORY" to a CycloneDX document of the service.
def component($type):
  (.[0] | split(" ")) as [$name, $version]
  | ($version | ltrimstr("v")) as $version
  | {
      type: $type,
      "bom-ref": "\($name)@\($version)",
      name: $name,
      version: $version,
    }
  + (if .[1] == "" then {} else {licenses: [{expression: (.[1] | gsub("/"; " OR "))}]} end)
  # Ours are in no registry.
  + (if .[0] | contains("(/") then {} else {purl: "pkg:cargo/\($name)@\($version)"} end)
  + (if .[2] == "" then {} else {externalReferences: [{type: "vcs", url: .[2]}]} end);

[inputs | split("\t")]
| {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {component: (map(select(.[0] | startswith($service + " v"))) | first | component("application"))},
    components: (map(select(.[0] | startswith($service + " v") | not) | component("library")) | unique_by(."bom-ref")),
  }
