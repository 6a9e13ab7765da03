"""What the prefix cache decides, without a model."""

from itertools import count

import pytest

from serving.local_engine.prefix_cache import BLOCK, PrefixCache


@pytest.fixture
def cache() -> PrefixCache[int]:
    """Its models are numbers."""
    return PrefixCache(count().__next__, 1024)


def run(cache: PrefixCache[int], *prompts: list[int]):
    plan = cache.plan(prompts)
    cache.done(plan, kept=True)
    return plan


def tokens(length: int, start: int = 0) -> list[int]:
    return list(range(start, start + length))


def test_short_prompts_are_left_alone(cache):
    assert run(cache, tokens(2 * BLOCK)).prefix == (), "one token must remain, so only one block would fit"
    assert cache.held_tokens == 0


def test_lone_prompt_is_kept_whole_and_found_again(cache):
    prompt = tokens(100)
    first = run(cache, prompt)
    assert (len(first.prefix), first.hit) == (96, False)
    again = run(cache, prompt)
    assert (len(again.prefix), again.hit) == (96, True)
    assert cache.hit(prompt) == tuple(prompt[:96])


def test_longer_prompt_uses_what_is_kept_of_its_beginning(cache):
    run(cache, tokens(100))
    longer = run(cache, tokens(150))
    assert (len(longer.prefix), longer.hit) == (96, True)


def test_hit_that_covers_little_of_what_comes_again_is_replaced_by_a_longer_prefix(cache):
    run(cache, tokens(50))
    run(cache, tokens(400))
    third = run(cache, tokens(400))
    assert (len(third.prefix), third.hit) == (384, False)
    fourth = run(cache, tokens(400))
    assert (len(fourth.prefix), fourth.hit) == (384, True)


def test_shared_beginning_is_kept_when_it_comes_the_second_time(cache):
    system = tokens(64)
    first = run(cache, system + tokens(40, 1000))
    assert len(first.prefix) == 96
    second = run(cache, system + tokens(40, 2000))
    assert (second.prefix, second.hit) == (tuple(system), False)
    third = run(cache, system + tokens(40, 3000))
    assert (third.prefix, third.hit) == (tuple(system), True)


def test_batch_keeps_what_its_prompts_share(cache):
    system = tokens(64)
    plan = run(cache, system + tokens(40, 1000), system + tokens(38, 2000))
    assert (plan.prefix, plan.hit) == (tuple(system), False)
    assert run(cache, tokens(64, 5000), tokens(64, 6000)).prefix == ()


def test_batch_of_one_prompt_twice_keeps_all_but_its_end(cache):
    assert len(run(cache, tokens(64), tokens(64)).prefix) == 48


def test_prefix_that_is_being_computed_is_not_computed_twice(cache):
    first = cache.plan([tokens(64)])
    second = cache.plan([tokens(64)])
    assert (len(first.prefix), second.prefix, second.hit) == (48, (), False)
    cache.done(second, kept=True)
    cache.done(first, kept=True)
    assert run(cache, tokens(64)).hit


def test_failed_batch_keeps_nothing(cache):
    cache.done(cache.plan([tokens(64)]), kept=False)
    assert cache.held_tokens == 0
    assert not run(cache, tokens(64)).hit


def test_full_young_generation_pushes_out_the_old_one_with_its_model(cache):
    prompts = [tokens(129, 10_000 * number) for number in range(12)]
    models = [run(cache, prompt).model for prompt in prompts]
    assert models == [0] * 4 + [1] * 4 + [2] * 4
    assert cache.held_tokens == 512, "a new generation has just begun"
    assert not cache.hit(prompts[0])
    kept = run(cache, prompts[-1])
    assert (kept.hit, kept.model) == (True, 2)


def test_prompt_longer_than_a_generation_is_not_kept(cache):
    assert run(cache, tokens(600)).prefix == ()
