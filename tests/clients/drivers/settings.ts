function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

export const url = setting("GATEWAY_URL");
export const key = setting("GATEWAY_KEY");
export const later = setting("LATER_URL");
export const since = setting("SINCE");
export const until = setting("UNTIL");
