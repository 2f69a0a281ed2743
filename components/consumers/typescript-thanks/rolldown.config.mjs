// What the platform gives is imported when the component runs, not bundled.
export default { external: /^eventrunner:/ };
