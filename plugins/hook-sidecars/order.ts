// Who is called at a hook point, in which order.
import type { Hook } from './actions.ts';

/** Those that want it: by priority, higher first, then by name. */
export function inOrder(hooks: readonly Hook[], point: string): Hook[] {
  const priority = ({ hookPoints }: Hook): number | undefined =>
    hookPoints.find(({ name }) => name === point)?.priority;
  return hooks
    .filter((hook) => priority(hook) !== undefined)
    .sort((a, b) => (priority(b) ?? 0) - (priority(a) ?? 0) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
