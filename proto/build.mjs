/**
 * Writes `proto/descriptors/<package>.json` (protobufjs JSON, one file per protobuf package, type names absolute) and `proto/descriptors/names.json` (every
 * message name, for "did you mean"). Run it with `node proto/build.mjs` after a change to `proto/overlay` or an update of `@grpc/grpc-js-xds`.
 *
 * Sources: Envoy's v3 API, xds, udpa and googleapis as shipped in the development dependency `@grpc/grpc-js-xds/deps`, then `proto/overlay`. An overlay
 * file with the path of a shipped one holds only what that one lacks: its fields, enum values and messages are added to the shipped messages of
 * the same name. Any other overlay file is a file of its own.
 *
 * Kept: fields, oneofs, enums, `validate.rules`, `deprecated` and `udpa.annotations.sensitive`. Dropped: comments, services, all other options.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const OVERLAY = join(HERE, 'overlay');
const OUTPUT = join(HERE, 'descriptors');
const DEPS = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps');
const SHIPPED = ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((folder) => join(DEPS, folder));

/** What is compiled; what these import follows. The v2 API and the test protos of protoc-gen-validate stay out. */
const WANTED = /^(envoy\/(config|extensions|type|data|admin|service)\/(?!.*\/v2(alpha\d*)?\/)|xds\/|udpa\/|google\/rpc\/status)/;
/** Services whose imports (Prometheus' and OpenCensus' own data models) no configuration names. */
const UNWANTED = /^envoy\/service\/(metrics|trace)\//;
/** Namespaces that only describe options. */
const OPTION_PACKAGES = /^(validate|udpa\.annotations|xds\.annotations\.v3|envoy\.annotations|google\.api)$/;
/** Of google.protobuf the types that messages use; the rest describes descriptors. */
const isDropped = (name) =>
  OPTION_PACKAGES.test(name.slice(0, name.lastIndexOf('.'))) || (/^google\.protobuf\./.test(name) && !WELL_KNOWN.test(name));
const WELL_KNOWN =
  /^google\.protobuf\.(Any|Duration|Empty|FieldMask|ListValue|NullValue|Struct|Timestamp|Value|(Bool|Bytes|Double|Float|Int32|Int64|String|UInt32|UInt64)Value)(\.|$)/;
const KEPT_OPTIONS = new Set([
  '(validate.rules)',
  '(validate.required)',
  '(validate.disabled)',
  '(validate.ignored)',
  'deprecated',
  '(udpa.annotations.sensitive)',
  'proto3_optional',
]);

const filesOf = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true, recursive: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith('.proto'))
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
        .sort()
    : [];

const overlays = new Map(filesOf(OVERLAY).map((path) => [path, join(OVERLAY, path)]));
const shipped = new Map(SHIPPED.flatMap((folder) => filesOf(folder).map((path) => [path, join(folder, path)])));

const root = new protobuf.Root();
root.resolvePath = (_origin, path) =>
  shipped.get(path) ?? overlays.get(path) ?? join(dirname(createRequire(import.meta.url).resolve('protobufjs/package.json')), path);
const own = [...overlays.keys()].filter((path) => !shipped.has(path));
root.loadSync([...[...shipped.keys()].filter((path) => WANTED.test(path) && !UNWANTED.test(path)), ...own], { keepCase: true });

root.resolveAll();

for (const [path, file] of overlays) {
  if (!shipped.has(path)) continue;
  const extra = new protobuf.Root();
  const parsed = protobuf.parse(readFileSync(file, 'utf8'), extra, { keepCase: true });
  merge(extra.lookup(parsed.package), root.lookup(parsed.package), path);
}

/** Moves what `from` declares into the namespace or message `to`. */
function merge(from, to, path) {
  if (to === null) throw new Error(`${path}: ${from.fullName} is not in the shipped file`);
  if (from instanceof protobuf.Type) {
    const members = new Map(from.oneofsArray.flatMap((oneof) => oneof.fieldsArray.map((field) => [field.name, oneof.name])));
    for (const field of [...from.fieldsArray]) {
      from.remove(field);
      const known = to.fields[field.name];
      const oneof = members.get(field.name) ?? known?.partOf?.name;
      if (known !== undefined) {
        known.partOf?.remove(known);
        to.remove(known);
      }
      field.partOf = null;
      to.add(field);
      if (oneof !== undefined) {
        if (to.oneofs[oneof] === undefined) to.add(new protobuf.OneOf(oneof));
        to.oneofs[oneof].add(field);
      }
    }
  }
  for (const child of [...from.nestedArray]) {
    const known = to.nested?.[child.name];
    if (known === undefined) {
      from.remove(child);
      to.add(child);
    } else if (child instanceof protobuf.Enum) {
      for (const [name, value] of Object.entries(child.values)) if (known.values[name] === undefined) known.add(name, value);
    } else merge(child, known, path);
  }
}

const kept = (object) => {
  const options = {};
  for (const option of object.parsedOptions ?? [])
    for (const [name, value] of Object.entries(option)) if (KEPT_OPTIONS.has(name)) options[name] = fold(options[name], value);
  return Object.keys(options).length === 0 ? {} : { options };
};
/** `(a).b = 1, (a).c = 2` are two options of one message. */
const fold = (known, value) => (known !== null && typeof known === 'object' && typeof value === 'object' ? { ...known, ...value } : value);
function typeName(field) {
  field.resolve(); // what the overlay added was not there when the root was resolved
  return field.resolvedType === null ? field.type : field.resolvedType.fullName;
}
const fieldJson = (field) => ({
  ...(field.repeated ? { rule: 'repeated' } : {}),
  ...(field.map ? { keyType: field.keyType } : {}),
  type: typeName(field),
  id: field.id,
  ...kept(field),
});
const entries = (list, json) => Object.fromEntries(list.map((item) => [item.name, json(item)]));
function typeJson(type) {
  return {
    edition: 'proto3',
    ...kept(type),
    ...(type.oneofsArray.length === 0 ? {} : { oneofs: entries(type.oneofsArray, (oneof) => ({ ...kept(oneof), oneof: oneof.oneof })) }),
    fields: entries(type.fieldsArray, fieldJson),
    ...(type.nestedArray.length === 0
      ? {}
      : {
          nested: entries(
            type.nestedArray.filter((child) => child instanceof protobuf.Type || child instanceof protobuf.Enum),
            objectJson,
          ),
        }),
  };
}
const objectJson = (object) => (object instanceof protobuf.Enum ? { edition: 'proto3', values: { ...object.values } } : typeJson(object));

const packages = new Map();
const names = [];
(function walk(namespace) {
  for (const child of namespace.nestedArray) {
    const inMessage = namespace instanceof protobuf.Type;
    if (child instanceof protobuf.Type || child instanceof protobuf.Enum) {
      const name = namespace.fullName.slice(1);
      if (!inMessage && !isDropped(child.fullName.slice(1))) {
        if (!packages.has(name)) packages.set(name, []);
        packages.get(name).push(child);
      }
      if (child instanceof protobuf.Type && !isDropped(child.fullName.slice(1))) names.push(child.fullName.slice(1));
    }
    if (child instanceof protobuf.Namespace) walk(child);
  }
})(root);

rmSync(OUTPUT, { recursive: true, force: true });
mkdirSync(OUTPUT, { recursive: true });
let bytes = 0;
const write = (name, text) => {
  bytes += text.length;
  writeFileSync(join(OUTPUT, `${name}.json`), text);
};
for (const [name, members] of packages) {
  // One message a line: a change of the source is a change of few lines here.
  const lines = members
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((member) => `${JSON.stringify(member.name)}:${JSON.stringify(objectJson(member))}`);
  const parts = name.split('.');
  write(
    name,
    `${parts.map((part) => `{"nested":{${JSON.stringify(part)}:`).join('')}{"nested":{\n${lines.join(',\n')}\n}}${'}}'.repeat(parts.length)}\n`,
  );
}
write(
  'names',
  `[\n${names
    .sort()
    .map((name) => JSON.stringify(name))
    .join(',\n')}\n]\n`,
);
console.log(`proto/descriptors: ${packages.size} packages, ${names.length} messages, ${(bytes / 1024).toFixed(0)} KiB`);
