// Rules on memory, CPU and their requests and limits.
import { MAX_VCPUS } from './cpu.ts';
import { guestMemoryText, memoryRoomProblem } from './memory.ts';
import { MEMORY_END, millis, quantity } from '../../core/index.ts';
import { items, type Review, type Rule } from './rules.ts';

const RESOURCES = 'spec.domain.resources';
const CPU = 'spec.domain.cpu';
const GUEST = 'spec.domain.memory.guest';
const POLICIES = new Set(['', 'force', 'require', 'optional', 'disable', 'forbid']);

/** Requests and limits of one resource: not negative, and the request within the limit. */
function pair(review: Review, name: 'cpu' | 'memory', numberOf: (value: unknown) => number | undefined): void {
  const { requests, limits } = review.domain.resources ?? {};
  const paths = { requests: `${RESOURCES}.requests.${name}`, limits: `${RESOURCES}.limits.${name}` };
  const request = numberOf(requests?.[name]) ?? 0;
  const limit = numberOf(limits?.[name]) ?? 0;
  const negative = 'must be greater than or equal to 0.';
  if (request < 0) review.invalid(paths.requests, `'${requests?.[name]}': ${negative}`);
  if (limit < 0) review.invalid(paths.limits, `'${limits?.[name]}': ${negative}`);
  if (limit > 0 && request > limit) {
    review.invalid(
      paths.requests,
      `'${requests?.[name]}' is greater than ${review.at(paths.limits)} '${limits?.[name]}'`,
    );
  }
}

const requestsAndLimits: Rule = (review) => {
  pair(review, 'memory', quantity);
  pair(review, 'cpu', millis);
  const asked = review.domain.resources?.requests?.['memory'];
  const bytes = quantity(asked) ?? 0;
  if (bytes > 0 && bytes < 1e6) {
    review.invalid(`${RESOURCES}.requests.memory`, `'${asked}': must be greater than or equal to 1M.`);
  }
};

const guestMemory: Rule = (review) => {
  const { memory, resources } = review.domain;
  const guest = quantity(memory?.guest);
  if (guest === undefined) return;
  if (guest < 1) review.invalid(GUEST, `'${memory?.guest}': must be greater than 0.`);
  if (guest >= MEMORY_END) review.invalid(GUEST, `'${memory?.guest}': must be less than 8Pi.`);
  const limit = quantity(resources?.limits?.['memory']) ?? 0;
  // Not refused, as in KubeVirt: the limit may be meant for a guest that never fills its memory.
  if (limit > 0 && guest > limit) {
    review.warnings.push(
      `${review.at(GUEST)} '${memory?.guest}' is greater than the memory limit '${resources?.limits?.['memory']}': a guest that uses it all is killed`,
    );
  }
};

const memoryRoom: Rule = (review) => {
  const asked = review.domain.memory?.maxGuest;
  const most = quantity(asked);
  const guest = quantity(guestMemoryText(review.domain));
  if (most === undefined || guest === undefined || most === guest) return;
  const problem = most >= MEMORY_END ? 'maxGuest must be less than 8Pi' : memoryRoomProblem(guest, most);
  if (problem) review.refuse('spec.domain.memory.maxGuest', 'FieldValueInvalid', problem);
};

const reservedOverhead: Rule = (review) => {
  if (review.domain.memory?.reservedOverhead === undefined) return;
  const message = 'reserved overhead is not built yet: leave reservedOverhead out';
  review.refuse('spec.domain.memory.reservedOverhead', 'FieldValueNotSupported', message);
};

/** Only for a VMI: what a VirtualMachine leaves out a preset may still add. */
export const memoryIsGiven: Rule = (review) => {
  const { memory, resources } = review.domain;
  if (memory?.guest !== undefined || quantity(resources?.requests?.['memory'])) return;
  if (quantity(resources?.limits?.['memory'])) return;
  const fields = [GUEST, 'spec.domain.memory.hugepages.pageSize', `${RESOURCES}.requests.memory`].map(review.at);
  review.refuse(
    GUEST,
    'FieldValueRequired',
    `no memory requested, at least one of '${fields[0]}', '${fields[1]}' or '${fields[2]}' must be set`,
  );
};

const topology: Rule = (review) => {
  const { cpu } = review.domain;
  const of = (value: unknown): number => (typeof value === 'number' && value > 0 ? value : 1);
  const sockets = of(cpu?.sockets);
  const perSocket = of(cpu?.cores) * of(cpu?.threads);
  const maxSockets = of(cpu?.maxSockets ?? sockets);
  if (cpu?.maxSockets && sockets > maxSockets) {
    const message = 'Number of sockets in CPU topology is greater than the maximum sockets allowed';
    review.refuse(`${CPU}.sockets`, 'FieldValueInvalid', message);
  }
  const possible = Math.max(sockets, maxSockets) * perSocket;
  if (possible > MAX_VCPUS) {
    review.invalid(CPU, `asks for ${possible} vCPUs (sockets x cores x threads), at most ${MAX_VCPUS} are possible`);
  }
};

const cpuFeatures: Rule = (review) => {
  for (const [index, feature] of items(review.domain.cpu?.features)) {
    if (feature.policy === undefined || POLICIES.has(feature.policy)) continue;
    review.refuse(
      `${CPU}.features[${index}].policy`,
      'FieldValueNotSupported',
      `CPU feature ${feature.name} uses policy ${feature.policy} that is not supported.`,
    );
  }
};

export const resourceRules: readonly Rule[] = [
  requestsAndLimits,
  guestMemory,
  memoryRoom,
  reservedOverhead,
  topology,
  cpuFeatures,
];
