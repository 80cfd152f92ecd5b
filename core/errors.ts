// The errors of the project: a code, the facts, and what to do next.

/** Code, text with {placeholders}. The placeholders are the facts that the thrower must give. */
const TABLE = {
  VL_CONFIG_INVALID: '{file}: {field}: {problem}',
  VL_PLUGIN_LOAD: 'plugin "{plugin}" could not be loaded from {module}: {cause}',
  VL_PLUGIN_SHAPE: 'plugin "{plugin}" is malformed: {problem}',
  VL_PLUGIN_OPTIONS: 'options of plugin "{plugin}": {problem}',
  VL_PLUGIN_CORE:
    'plugin "{plugin}" {version} is made for core {range}; this core is {api}. Install a version of it that is made for this core.',
  VL_PLUGIN_MISSING:
    'plugin "{plugin}" needs plugin "{needs}", which is not enabled. Add it to plugins: in the configuration.',
  VL_PLUGIN_CONFLICT:
    'plugin "{plugin}" cannot run beside plugin "{other}". Drop one of them from plugins: in the configuration.',
  VL_PLUGIN_CYCLE: 'plugins order themselves in a circle: {cycle}. Drop one of their before/after.',
  VL_PLUGIN_TWICE: 'plugin "{plugin}" is listed twice.',
  VL_API_CLASH: 'field {path} is claimed by plugin "{first}" and by plugin "{second}". Disable one of them.',
  VL_KEY_CLASH: '{hook} "{key}" is claimed by plugin "{first}" and by plugin "{second}". Disable one of them.',
  VL_SOURCE_UNKNOWN: '{field}: no enabled plugin handles {what} "{key}". Enabled: {known}.',
  VL_TAP_FAILED: '{hook} of plugin "{plugin}" failed: {cause}',
  VL_TAP_TIMEOUT:
    '{hook} of plugin "{plugin}" gave no answer in {ms} ms. Raise its timeoutMs or set failurePolicy: Ignore.',
  VL_CONFLICT: '{where}: plugin "{first}" set {old}, plugin "{second}" sets {new}. One of them must leave it.',
  VL_WRITE_UNDECLARED:
    '{where}: plugin "{plugin}" writes it, and does not declare that. Add it to the plugin\'s writes.',
  VL_TAP_ANSWER: '{hook} of plugin "{plugin}" gave a malformed answer, which {problem}.',
  VL_XML_INVALID: 'not a well-formed document: {problem}',
  VL_STEP_UNKNOWN: 'step {step} asks for action "{action}", which plugin "{plugin}" does not have.',
  VL_STEP_FAILED: 'step {step} of plugin "{plugin}" failed: {cause}',
  VL_REWRITE_FAILED: 'rewrite {step} of plugin "{plugin}" of the {of} failed: {cause}',
  VL_RECORD_INVALID: 'what VMI {vmi} was started with cannot be read from its annotation {annotation}: {problem}',
} as const;

export type ErrorCode = keyof typeof TABLE;
type Placeholders<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Placeholders<Rest>
  : never;
export type ErrorFacts<Code extends ErrorCode> = Record<Placeholders<(typeof TABLE)[Code]>, string | number>;

/** An error that a user or operator can act on. `code` is listed in docs/errors.md. */
export class VirtloomError extends Error {
  readonly code: ErrorCode;
  readonly facts: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, facts: Record<string, string | number>, cause?: unknown) {
    super(
      TABLE[code].replace(/\{(\w+)\}/g, (_, name: string) => String(facts[name] ?? '?')),
      cause === undefined ? undefined : { cause },
    );
    this.name = 'VirtloomError';
    this.code = code;
    this.facts = facts;
  }
}

/** Makes a VirtloomError; the compiler checks that every placeholder of the code's text is given. */
export function fail<Code extends ErrorCode>(code: Code, facts: ErrorFacts<Code>, cause?: unknown): VirtloomError {
  return new VirtloomError(code, facts as Record<string, string | number>, cause);
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
