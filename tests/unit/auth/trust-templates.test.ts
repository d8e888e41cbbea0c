/** The policies that are shipped, with the claims that GitHub and GitLab document, honest ones and others. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ACTION_PATTERNS } from '../../../control-plane/auth/policy.ts';
import { matcherFrom } from '../../../control-plane/services/policies.ts';
import { type Claims, isCatchAll, ruleHolds } from '../../../shared/domain/trust-policy.ts';
import { policyFileSchema } from '../../../shared/protocol/policies.ts';

const FOLDER = new URL('../../../infra/trust/', import.meta.url);
const IDS: Record<string, string> = {
  '<id of the owner>': '65',
  '<id of the repository>': '74',
  '<id of the group>': '72',
  '<id of the project>': '20',
  '<id of the service account>': 'f3a1',
};

function template(file: string, fill = (text: string) => text) {
  return policyFileSchema.parse(parse(fill(readFileSync(new URL(file, FOLDER), 'utf8'))));
}

function filled(file: string) {
  return template(file, (text) => text.replace(/<[^>]+>/g, (placeholder) => IDS[placeholder] ?? placeholder));
}

/** The names of the rules that hold. */
function holding({ rules }: ReturnType<typeof template>, claims: Claims): (string | undefined)[] {
  return rules
    .filter((rule) => {
      const matchers = Object.entries(rule.claims).map(([name, matcher]) => [name, matcherFrom(matcher)]);
      return ruleHolds({ claims: Object.fromEntries(matchers) }, claims);
    })
    .map(({ name }) => name);
}

const FILES = readdirSync(FOLDER).filter((file) => file.endsWith('.yaml'));

describe.each(FILES)('%s', (file) => {
  it('is a policy that can be applied, and lets in nobody before it was filled in', () => {
    const policy = template(file);
    expect(file).toBe(`${policy.name}.yaml`);
    for (const { claims, actions, allowAnySubject } of policy.rules) {
      const matchers = Object.entries(claims).map(([name, matcher]) => [name, matcherFrom(matcher)]);
      expect(isCatchAll(policy.issuer, { claims: Object.fromEntries(matchers) })).toBe(false);
      expect(allowAnySubject).toBe(false);
      for (const action of actions) expect(ACTION_PATTERNS).toContain(action);
    }
  });
});

/** As GitHub documents it, for a push to the main branch in an environment. */
const GITHUB: Claims = {
  jti: 'example-id',
  sub: 'repo:octo-org/octo-repo:environment:production',
  environment: 'production',
  aud: 'https://berth.example.com',
  ref: 'refs/heads/main',
  sha: 'example-sha',
  repository: 'octo-org/octo-repo',
  repository_owner: 'octo-org',
  actor_id: '12',
  repository_visibility: 'private',
  repository_id: '74',
  repository_owner_id: '65',
  run_id: 'example-run-id',
  run_number: '10',
  run_attempt: '2',
  runner_environment: 'github-hosted',
  actor: 'octocat',
  workflow: 'example-workflow',
  workflow_ref: 'octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main',
  job_workflow_ref: 'octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main',
  head_ref: '',
  base_ref: '',
  event_name: 'push',
  ref_type: 'branch',
  ref_protected: 'true',
  iss: 'https://token.actions.githubusercontent.com',
};
const { environment: _environment, ...GITHUB_WITHOUT_ENVIRONMENT } = GITHUB;
const FORK = {
  repository: 'stranger/octo-repo',
  repository_id: '999',
  repository_owner: 'stranger',
  repository_owner_id: '998',
};

describe('a job of GitHub', () => {
  it.each<[string, Claims, readonly string[]]>([
    ['of the main branch in the protected environment', GITHUB, ['deploy', 'test']],
    ['whose repository has another name by now', { ...GITHUB, repository: 'octo-org/renamed' }, ['deploy', 'test']],
    ['whose ids are numbers', { ...GITHUB, repository_id: 74, repository_owner_id: 65 }, ['deploy', 'test']],
    ['outside of the environment', GITHUB_WITHOUT_ENVIRONMENT, ['test']],
    ['in another environment', { ...GITHUB, environment: 'production-eu' }, ['test']],
    ['of another branch', { ...GITHUB, ref: 'refs/heads/feature', ref_protected: 'false' }, ['test']],
    ['of a branch with a longer name', { ...GITHUB, ref: 'refs/heads/main-2' }, ['test']],
    ['of a tag that is called like the branch', { ...GITHUB, ref: 'refs/tags/main', ref_type: 'tag' }, []],
    ['of a main branch that is not protected', { ...GITHUB, ref_protected: 'false' }, ['test']],
    [
      'by a workflow of a branch',
      { ...GITHUB, workflow_ref: 'octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/x' },
      ['test'],
    ],
    [
      'of a pull request',
      {
        ...GITHUB,
        event_name: 'pull_request',
        ref: 'refs/pull/7/merge',
        head_ref: 'x',
        base_ref: 'main',
        ref_protected: 'false',
      },
      [],
    ],
    [
      'of a pull request of a fork, with the rights of the repository',
      { ...GITHUB, event_name: 'pull_request_target' },
      [],
    ],
    ['after a workflow that a fork has set off', { ...GITHUB, event_name: 'workflow_run' }, []],
    ['of a comment', { ...GITHUB, event_name: 'issue_comment' }, []],
    ['of a fork', { ...GITHUB, ...FORK }, []],
    ['of a fork that is called like the repository', { ...GITHUB, ...FORK, repository: 'octo-org/octo-repo' }, []],
    ['of a stranger who has taken a name that was given up', { ...GITHUB, repository_owner_id: '1000' }, []],
    ['of another repository of the owner', { ...GITHUB, repository_id: '75' }, []],
    ['of a repository whose id only begins the same', { ...GITHUB, repository_id: '740' }, []],
  ])('%s', (_name, claims, names) => {
    expect(holding(filled('github-actions.yaml'), claims)).toEqual(names);
  });

  it('of anybody brings nothing before the ids are filled in', () => {
    expect(holding(template('github-actions.yaml'), GITHUB)).toEqual([]);
  });
});

/** As GitLab documents it, for a push to a protected branch that deploys. */
const GITLAB: Claims = {
  namespace_id: '72',
  namespace_path: 'my-group',
  project_id: '20',
  project_path: 'my-group/my-project',
  user_id: '1',
  user_login: 'sample-user',
  user_email: 'sample-user@example.com',
  pipeline_id: '574',
  pipeline_source: 'push',
  job_id: '302',
  ref: 'main',
  ref_type: 'branch',
  ref_path: 'refs/heads/main',
  ref_protected: 'true',
  environment: 'production',
  environment_protected: 'true',
  deployment_tier: 'production',
  environment_action: 'start',
  runner_id: 1,
  runner_environment: 'self-hosted',
  sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
  project_visibility: 'public',
  ci_config_ref_uri: 'gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main',
  jti: '235b3a54-b797-45c7-ae9a-f72d7bc6ef5b',
  iss: 'https://gitlab.com',
  sub: 'project_path:my-group/my-project:ref_type:branch:ref:main',
  aud: 'https://berth.example.com',
};
const { environment: _none, environment_protected: _nor, ...GITLAB_WITHOUT_ENVIRONMENT } = GITLAB;

describe('a job of GitLab', () => {
  it.each<[string, Claims, readonly string[]]>([
    ['of the main branch in the protected environment', GITLAB, ['deploy', 'test']],
    ['whose project has another path by now', { ...GITLAB, project_path: 'my-group/renamed' }, ['deploy', 'test']],
    ['outside of the environment', GITLAB_WITHOUT_ENVIRONMENT, ['test']],
    ['in an environment that is not protected', { ...GITLAB, environment_protected: 'false' }, ['test']],
    ['of a protected tag', { ...GITLAB, ref: 'main', ref_type: 'tag' }, ['test']],
    ['of a branch that is not protected', { ...GITLAB, ref: 'x', ref_protected: 'false' }, []],
    ['of a merge request', { ...GITLAB, pipeline_source: 'merge_request_event' }, []],
    [
      'of a merge request of a fork',
      { ...GITLAB, pipeline_source: 'merge_request_event', project_id: '99', namespace_id: '98' },
      [],
    ],
    ['that another project has triggered', { ...GITLAB, pipeline_source: 'pipeline' }, []],
    ['of a fork with a protected main branch', { ...GITLAB, project_id: '99', namespace_id: '98' }, []],
    ['of a project that has taken the path', { ...GITLAB, project_id: '21' }, []],
    ['of the project after it went to another group', { ...GITLAB, namespace_id: '73' }, []],
  ])('%s', (_name, claims, names) => {
    expect(holding(filled('gitlab-ci.yaml'), claims)).toEqual(names);
  });
});

describe('somebody of another issuer', () => {
  it.each<[string, Claims, readonly string[]]>([
    ['in the group', { groups: ['staff', 'platform-operators'], email_verified: true }, ['operators']],
    ['in a group that is called like it', { groups: ['platform-operators-eu'], email_verified: true }, []],
    ['whose address nobody has checked', { groups: ['platform-operators'], email_verified: false }, []],
    ['who is the deployer', { sub: 'f3a1', realm_access: { roles: ['deploy'] } }, ['deployer']],
    ['who is another deployer', { sub: 'f3a2', realm_access: { roles: ['deploy'] } }, []],
  ])('%s', (_name, claims, names) => {
    expect(holding(filled('generic-oidc.yaml'), claims)).toEqual(names);
  });
});
