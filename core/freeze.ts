// What hooks are handed is frozen: a plugin that changes its input fails by itself, and spoils nothing for the others.

/** Freezes `value` and all in it. What is frozen already was frozen here, and whole. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  // Typed arrays cannot be frozen; nothing of ours hands one to a hook.
  for (const key in value) freeze(value[key]);
  return Object.freeze(value);
}
