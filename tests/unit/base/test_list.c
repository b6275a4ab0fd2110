/* The intrusive list: order, removal from anywhere and inside a loop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/list.h"
#include "base/mem.h"

struct item {
    int number;
    struct list link;
};

static void check(const struct list *head, const int *want, int n)
{
    int i = 0;
    const struct list *prev = head;
    for (const struct list *it = head->next; it != head; it = it->next) {
        assert_true(i < n);
        assert_int_equal(LIST_ENTRY(it, const struct item, link)->number, want[i++]);
        assert_ptr_equal(it->prev, prev);
        prev = it;
    }
    assert_int_equal(i, n);
    assert_ptr_equal(head->prev, prev);
    assert_int_equal(list_empty(head), n == 0);
}

static void items_keep_their_order(void **state)
{
    (void)state;
    struct list head;
    struct item it[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&head);
    check(&head, NULL, 0);
    assert_null(list_pop_front(&head));
    list_push_back(&head, &it[1].link);
    list_push_back(&head, &it[3].link);
    list_push_front(&head, &it[0].link);
    list_insert_before(&it[3].link, &it[2].link);
    check(&head, (int[]){0, 1, 2, 3}, 4);
    list_remove(&it[2].link);
    check(&head, (int[]){0, 1, 3}, 3);
    list_remove(&it[2].link); /* a second time does no harm */
    check(&head, (int[]){0, 1, 3}, 3);
    assert_ptr_equal(list_pop_front(&head), &it[0].link);
    check(&head, (int[]){1, 3}, 2);
    list_push_back(&head, &it[0].link); /* what was taken out may come again */
    check(&head, (int[]){1, 3, 0}, 3);
    while (list_pop_front(&head) != NULL) {
    }
    check(&head, NULL, 0);
}

static void the_current_item_may_be_freed(void **state)
{
    (void)state;
    struct list head;
    list_init(&head);
    for (int i = 0; i < 10; i++) {
        struct item *it = MEM_NEW(struct item);
        it->number = i;
        list_push_back(&head, &it->link);
    }
    list_for_each_safe (p, &head) {
        struct item *it = LIST_ENTRY(p, struct item, link);
        if (it->number % 2 == 0) {
            list_remove(p);
            mem_free(it);
        }
    }
    check(&head, (int[]){1, 3, 5, 7, 9}, 5);
    int sum = 0;
    list_for_each (p, &head) {
        sum += LIST_ENTRY(p, struct item, link)->number;
    }
    assert_int_equal(sum, 25);
    list_for_each_safe (p, &head) {
        list_remove(p);
        mem_free(LIST_ENTRY(p, struct item, link));
    }
    check(&head, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_keep_their_order),
        cmocka_unit_test(the_current_item_may_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
