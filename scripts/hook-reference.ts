// docs/hooks.md: every hook's inputs and answers, from the types of core/plugin.ts. Run it after a change there.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const CONTRACT = fileURLToPath(new URL('../core/plugin.ts', import.meta.url));
const PAGE = fileURLToPath(new URL('../docs/hooks.md', import.meta.url));

/** The hooks in the order in which they run, what there is to know besides their types, and the types. */
const HOOKS = [
  {
    name: 'defaultPreset',
    where: 'webhooks',
    when: 'an object is created or changed, before `admit`',
    order: 'one after the other, each with the object as the one before left it',
    types: ['DefaultInput', 'Patch', 'Defaults'],
  },
  {
    name: 'admit',
    where: 'webhooks',
    when: 'an object is created, changed or deleted',
    order: 'all of them, whatever the others find',
    types: ['AdmitInput', 'Verdict'],
  },
  {
    name: 'attachDisk',
    where: 'controller, agent, `render`',
    when: 'a plan is made: for each entry of spec.volumes, in their order',
    order: 'the one plugin that has the key of the volume’s source',
    types: ['AttachDiskInput', 'AttachInput', 'DiskAttachment', 'Attachment'],
  },
  {
    name: 'attachNetwork',
    where: 'controller, agent, `render`',
    when: 'a plan is made: for each interface, after the disks; the network’s source, then the interface’s binding',
    order: 'the one plugin that has the key of the source, then the one that has the key of the binding',
    types: ['AttachSourceInput', 'SourceAttachment', 'AttachBindingInput', 'NicAttachment'],
  },
  {
    name: 'prepareDomain',
    where: 'controller, agent, `render`',
    when: 'a plan is made: after disks and NICs are attached',
    order: 'stage `first`, then `main`, then `last`; in each stage the order that `virtloom plugins` prints',
    types: ['PrepareInput', 'AttachedDisk', 'AttachedNic', 'PlanDraft'],
  },
  {
    name: 'migrate',
    where: 'nothing calls it yet',
    when: 'by phase',
    order: '',
    types: ['MigrateInput', 'MigrateAnswer'],
  },
] as const;

const source = ts.createSourceFile(CONTRACT, readFileSync(CONTRACT, 'utf8'), ts.ScriptTarget.Latest, true);
const interfaces = new Map<string, ts.InterfaceDeclaration>();
source.forEachChild((node) => {
  if (ts.isInterfaceDeclaration(node)) interfaces.set(node.name.text, node);
});

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();
const cell = (text: string): string => oneLine(text).replaceAll('|', '\\|');

function docOf(node: ts.Node): string {
  const comments = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  return comments.map((comment) => ts.getTextOfJSDocComment(comment.comment) ?? '').join(' ');
}

function tableOf(name: string): string[] {
  const found = interfaces.get(name);
  if (!found) throw new Error(`core/plugin.ts has no interface ${name}: mend HOOKS in scripts/hook-reference.ts`);
  const parent = found.heritageClauses?.flatMap(({ types }) => types.map((type) => type.expression.getText())) ?? [];
  const rows = found.members.map((member) => {
    const key = member.name?.getText() ?? '';
    const optional = ts.isPropertySignature(member) && member.questionToken ? '?' : '';
    const type = ts.isPropertySignature(member)
      ? (member.type?.getText() ?? '')
      : member.getText().replace(/;$/, '').slice(key.length);
    return `| \`${key}${optional}\` | \`${cell(type)}\` | ${cell(docOf(member))} |`;
  });
  return [
    `**${name}**${parent.length > 0 ? `, with all of ${parent.join(', ')}` : ''}${docOf(found) === '' ? '' : `: ${oneLine(docOf(found))}`}`,
    '',
    '| field | type | |',
    '|---|---|---|',
    ...rows,
    '',
  ];
}

export function hookReference(): string {
  const lines = [
    '# The hooks',
    '',
    'Made from `core/plugin.ts` by `node scripts/hook-reference.ts`: change the types there, not this page. `V` is the VMI with the',
    "fields of the plugin's own slices. Every tap may answer with a promise; a synchronous one is quicker. Inputs are frozen.",
    '',
    '| hook | runs in | when | order |',
    '|---|---|---|---|',
    ...HOOKS.map(
      ({ name, where, when, order }) => `| [${name}](#${name.toLowerCase()}) | ${where} | ${when} | ${order} |`,
    ),
    '',
  ];
  for (const { name, types } of HOOKS) lines.push(`## ${name}`, '', ...types.flatMap(tableOf));
  return `${lines.join('\n').trimEnd()}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(PAGE, hookReference());
